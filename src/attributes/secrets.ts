/** Redaction (docs/rules.md, section 3): secret attributes, and the values of some headers and query parameters. */
import type { Attributes } from './attributes.ts';
import { filledOf, RequestBag, type Wire } from './bag.ts';
import type { Value } from './values.ts';

/** Replaces a secret. */
export const HIDDEN = '(secret)';
/**
 * Names of headers and descriptor entries that carry credentials, in lower case. Gateways and clouds put their own words before these:
 * x-auth-token, x-amz-security-token, x-forwarded-authorization, set-cookie.
 */
const NAME = '(?:^|[-_])(?:authorization|cookie|api[-_]?key|token|secret|password|jwt|assertion)';
const SECRET_NAME = new RegExp(`${NAME}$`);
const ASSIGNED = new RegExp(`${NAME}=`, 'i');
export const isSecretName = (lower: string): boolean => SECRET_NAME.test(lower);

/** Of `KEY=VALUE`, where the key names a secret. Both may contain `=`. */
export function withoutSecretValue(entry: string): string {
  const assigned = ASSIGNED.exec(entry);
  return assigned === null ? entry : entry.slice(0, assigned.index + assigned[0].length) + HIDDEN;
}

/** In lower case and without separators: `api_key`, `Api-Key` and `apiKey` are one name. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set([
  'apikey',
  'key',
  'code',
  'token',
  'accesstoken',
  'refreshtoken',
  'idtoken',
  'authtoken',
  'sessiontoken',
  'jwt',
  'secret',
  'clientsecret',
  'clientassertion',
  'password',
  'passwd',
  'pwd',
  'sig',
  'signature',
  'xamzsignature',
  'xamzsecuritytoken',
  'xgoogsignature',
]);
const isSecretParameter = (name: string): boolean => SECRET_PARAMETERS.has(name.toLowerCase().replaceAll(/[-_.]/g, ''));
export const HEADER_MAPS: ReadonlySet<string> = new Set([
  'request.headers',
  'request.header_values',
  'response.headers',
  'response.trailers',
]);
export const QUERY_MAPS: ReadonlySet<string> = new Set(['request.query', 'request.query_params']);
/** Attributes whose text may be a URL. */
const URL_TEXTS: ReadonlySet<string> = new Set(['request.path', 'request.referer']);

export function isSecretHeader(attributes: Attributes, name: string): boolean {
  const lower = name.toLowerCase();
  return isSecretName(lower) || attributes.secretCarriers.has(lower);
}

/** Whether the value of a key of the maps above is secret. */
export const isSecretEntry = (attributes: Attributes, attribute: string, key: string): boolean =>
  HEADER_MAPS.has(attribute) ? isSecretHeader(attributes, key) : QUERY_MAPS.has(attribute) && isSecretParameter(key);

/**
 * Replaces the values of secret parameters in a path or URL, including its fragment, by `(secret)`. Names are matched as any server
 * may read them: percent-encoded, in any case, after a second `?`, or with `;` as the separator.
 */
export function withoutSecretParameters(url: string): string {
  if (!url.includes('=')) return url;
  let shown = '';
  let from = 0;
  for (const {
    0: { length },
    1: name = '',
    index,
  } of url.matchAll(/[?&#;]([^?=&#;]*)=/g)) {
    if (index < from || !isSecretParameter(decoded(name))) continue;
    const valueAt = index + length;
    shown += url.slice(from, valueAt) + HIDDEN;
    const end = url.slice(valueAt).search(/[&#]/);
    from = end < 0 ? url.length : valueAt + end;
  }
  return shown + url.slice(from);
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Attributes that a policy hides from its decision log: whole, or some keys of a map. */
export type Masks = ReadonlyMap<string, 'all' | ReadonlySet<string>>;
export const NO_MASKS: Masks = new Map();

const withoutKeys = (value: Value | undefined, keys: ReadonlySet<string>): Value | undefined =>
  value instanceof Map ? new Map([...(value as ReadonlyMap<string, Value>)].filter(([key]) => !keys.has(key))) : value;

/** A request without its secrets, also for named expressions. A value that is the same on it reveals no secret. */
export class SecretlessBag extends RequestBag {
  readonly #masks: Masks;

  constructor(bag: RequestBag, masks: Masks = NO_MASKS) {
    super(bag.attributes, secretless(bag.attributes, bag.wire));
    this.#masks = masks;
    for (const [slot, value] of filledOf(bag)) this.fill(slot, value);
  }

  override get(slot: number): Value | undefined {
    const { name, secret } = this.attributes.at(slot);
    const masked = this.#masks.get(name);
    if (secret || masked === 'all') return undefined;
    const all = super.get(slot);
    const value = masked === undefined ? all : withoutKeys(all, masked);
    if (typeof value === 'string') return URL_TEXTS.has(name) ? withoutSecretParameters(value) : value;
    if (!(value instanceof Map)) return value;
    const texts = value as ReadonlyMap<string, Value>;
    if (HEADER_MAPS.has(name))
      return new Map(
        [...texts]
          .filter(([header]) => !isSecretEntry(this.attributes, name, header))
          .map(([header, value]) => [header, mapTexts(value, withoutSecretParameters)]),
      );
    if (QUERY_MAPS.has(name))
      return new Map(
        [...texts].map(([parameter, text]) => [
          parameter,
          isSecretEntry(this.attributes, name, parameter) ? HIDDEN : text,
        ]),
      );
    return value;
  }
}

/** A request with `(secret)` in place of each secret, so that values derived from it may be shown. */
export class MaskedBag extends RequestBag {
  constructor(bag: RequestBag) {
    super(bag.attributes, maskedWire(bag.attributes, bag.wire));
    for (const [slot, value] of filledOf(bag)) this.fill(slot, value);
  }

  override get(slot: number): Value | undefined {
    const { name, secret } = this.attributes.at(slot);
    const value = super.get(slot);
    if (secret) return typeof value === 'string' ? HIDDEN : undefined;
    if (!(value instanceof Map) || !(HEADER_MAPS.has(name) || QUERY_MAPS.has(name))) return value;
    return new Map(
      [...(value as ReadonlyMap<string, Value>)].map(([key, text]) => [
        key,
        isSecretEntry(this.attributes, name, key) ? mapTexts(text, () => HIDDEN) : text,
      ]),
    );
  }
}

const maskedWire = (attributes: Attributes, wire: Wire): Wire => ({
  weight: wire.weight,
  keep: () => wire.keep(),
  read: (attribute, number) => wire.read(attribute, number),
  carried: (carrier) => {
    const value = wire.carried(carrier);
    return value !== undefined && carrier.kind === 'header' && isSecretHeader(attributes, carrier.name)
      ? HIDDEN
      : value;
  },
});

const secretless = (attributes: Attributes, wire: Wire): Wire => ({
  weight: wire.weight,
  keep: () => wire.keep(),
  read: (attribute, number) => wire.read(attribute, number),
  carried: (carrier) =>
    carrier.kind === 'header' && isSecretHeader(attributes, carrier.name) ? undefined : wire.carried(carrier),
});

/** The values of the request's secrets, longest first. Shorter ones would match by chance. */
export function secretTextsOf(bag: RequestBag): readonly string[] {
  const { attributes } = bag;
  const texts = new Set<string>();
  const add = (value: Value | undefined): void => {
    if (typeof value !== 'string') return;
    for (const text of [value, value.replace(/^\w+ +/, '')]) if (text.length >= SHORTEST) texts.add(text); // `Bearer TOKEN`
  };
  for (const slot of secretSlotsOf(attributes)) {
    const { name, number, secret } = attributes.at(slot);
    if (secret) add(attributes.resolve(slot, bag));
    else {
      // Maps that are derived from those of the wire have the same texts.
      const value = name === 'request.query' ? attributes.resolve(slot, bag) : bag.wire.read(name, number);
      if (value instanceof Map)
        for (const [key, text] of value as ReadonlyMap<string, Value>)
          if (isSecretEntry(attributes, name, key)) for (const one of [text].flat()) add(one);
    }
  }
  return [...texts].toSorted((a, b) => b.length - a.length);
}

/** A text, or each text of a list. */
export const mapTexts = (value: Value, change: (text: string) => string): Value =>
  typeof value === 'string'
    ? change(value)
    : Array.isArray(value)
      ? (value as readonly Value[]).map((item) => mapTexts(item, change))
      : value;

const SHORTEST = 4;

/** The outputs of enrich rules. */
const secretSlots = new WeakMap<Attributes, readonly number[]>();

/** The slots of attributes that are secret, or have secret entries. */
function secretSlotsOf(attributes: Attributes): readonly number[] {
  let slots = secretSlots.get(attributes);
  if (slots === undefined) {
    slots = Array.from({ length: attributes.size }, (_, slot) => slot).filter((slot) => {
      const { name, secret } = attributes.at(slot);
      return secret || HEADER_MAPS.has(name) || QUERY_MAPS.has(name);
    });
    secretSlots.set(attributes, slots);
  }
  return slots;
}
