/**
 * A request with its secrets redacted.
 * **In**: its bag. **Out**: values of attributes for JSON, and texts, both redacted. **Fails**: never.
 */
import { withoutCredentials } from './credentials.ts';
import type { RequestBag } from './bag.ts';
import {
  HEADER_MAPS,
  mapTexts,
  HIDDEN,
  isSecretEntry,
  isSecretName,
  type Masks,
  NO_MASKS,
  QUERY_MAPS,
  SecretlessBag,
  secretTextsOf,
  withoutSecretParameters,
} from './secrets.ts';
import { jsonOfValue } from './json-of-value.ts';
import { SecretTexts } from '../text/secret-texts.ts';
import type { Value } from './values.ts';

/** Attributes that are read from the wire and cannot contain a secret. */
const PLAIN: ReadonlySet<string> = new Set([
  'request.id',
  'request.method',
  'request.host',
  'request.url_path',
  'source.ip',
  'origin.ip',
  'source.principal',
  'ratelimit.domain',
]);

function withoutSecretEntries(value: Value): unknown {
  if (value instanceof Map)
    return Object.fromEntries(
      [...(value as ReadonlyMap<string, Value>)].map(([key, text]) => [
        key,
        isSecretName(key.toLowerCase()) ? HIDDEN : jsonOfValue(text),
      ]),
    );
  if (!Array.isArray(value)) return jsonOfValue(value);
  return (value as readonly Value[]).map((entry) => {
    const { key, value: text } = jsonOfValue(entry) as { readonly key?: unknown; readonly value?: unknown };
    return { key, value: typeof key === 'string' && isSecretName(key.toLowerCase()) ? HIDDEN : text };
  });
}

/** Replaces a value that the policy masks. */
export const MASKED = '(masked)';

/** The values of masked attributes as they may stand in a text. */
function maskedTextsOf(bag: RequestBag, masks: Masks): readonly string[] {
  const texts = [...masks].flatMap(([name, keys]) => {
    const slot = bag.attributes.slotOf(name);
    const value = slot === undefined ? undefined : bag.attributes.resolve(slot, bag);
    if (value === undefined) return [];
    const values =
      keys === 'all' ? [value] : value instanceof Map ? [...keys].map((key) => value.get(key) as Value) : [];
    return values.flatMap((one) => textsIn(jsonOfValue(one ?? null)));
  });
  return texts.filter((text) => text.length >= SHORTEST);
}

/** Shorter texts would match by chance. */
const SHORTEST = 4;

function textsIn(json: unknown): readonly string[] {
  if (typeof json === 'string') return [json];
  return typeof json === 'object' && json !== null ? Object.values(json).flatMap(textsIn) : [];
}

export class RedactedRequest {
  readonly #bag: RequestBag;
  readonly #masks: Masks;
  #secretless: SecretlessBag | undefined;
  /** Of the request, and what is masked. Made for the first text that is shown. */
  #texts: SecretTexts | undefined;

  constructor(bag: RequestBag, masks: Masks = NO_MASKS) {
    this.#bag = bag;
    this.#masks = masks;
  }

  /** Made on demand: most attributes that are shown cannot be secret. */
  get secretless(): SecretlessBag {
    return (this.#secretless ??= new SecretlessBag(this.#bag, this.#masks));
  }

  /** `null` for an absent one; `(secret)` for a value that depends on a secret of the request, or on what is masked. */
  attribute(slot: number): unknown {
    const { attributes } = this.#bag;
    // Resolved without the bag: a read for display must not enlarge the bags of all later calls.
    const isFilled = attributes.at(slot).source.kind === 'filled';
    return this.valueOf(slot, isFilled ? this.#bag.get(slot) : attributes.resolve(slot, this.#bag));
  }

  /** As {@link attribute}, of a value that was read. */
  valueOf(slot: number, value: Value | undefined): unknown {
    if (value === undefined) return null;
    const masked = this.#masks.get(this.#bag.attributes.at(slot).name);
    const shown = this.#unmasked(slot, value);
    if (masked === undefined || shown === null || shown === HIDDEN) return shown;
    if (masked === 'all' || typeof shown !== 'object') return MASKED;
    return Object.fromEntries(Object.entries(shown).map(([key, value]) => [key, masked.has(key) ? MASKED : value]));
  }

  #unmasked(slot: number, value: Value): unknown {
    const { attributes } = this.#bag;
    const { name, secret, source } = attributes.at(slot);
    if (secret) return HIDDEN;
    if (typeof value === 'string' && (name === 'request.path' || name === 'request.referer'))
      return withoutSecretParameters(value);
    if (value instanceof Map && (HEADER_MAPS.has(name) || QUERY_MAPS.has(name))) {
      return Object.fromEntries(
        [...(value as ReadonlyMap<string, Value>)].map(([key, text]) => [
          key,
          isSecretEntry(attributes, name, key) ? HIDDEN : jsonOfValue(mapTexts(text, withoutSecretParameters)),
        ]),
      );
    }
    if (name === 'ratelimit.entries' || name === 'ratelimit.descriptor') return withoutSecretEntries(value);
    const shown = jsonOfValue(value);
    // Read from the wire, it depends on no other attribute.
    const isOwn = source.kind === 'built-in' && source.derive === undefined && source.extension !== true;
    if (isOwn || PLAIN.has(name)) return shown;
    const without = source.kind === 'filled' ? value : attributes.resolve(slot, this.secretless);
    return without !== undefined && JSON.stringify(jsonOfValue(without)) === JSON.stringify(shown) ? shown : HIDDEN;
  }

  /** By name; `null` also for a name that is not declared. */
  named(name: string): unknown {
    const slot = this.#bag.attributes.slotOf(name);
    return slot === undefined ? null : this.attribute(slot);
  }

  /** Whether a JSON text has a secret of the request, or a masked value, in one of its texts. */
  isIn(json: string): boolean {
    return this.#hidden.text(json) !== json;
  }

  /** A message of a handler, or a text that is sent; the request's secrets in it are replaced. */
  text(text: string): string {
    return this.#hidden.text(withoutSecretParameters(withoutCredentials(text)));
  }

  get #hidden(): SecretTexts {
    return (this.#texts ??= new SecretTexts([
      ...secretTextsOf(this.#bag).map((text) => ({ text, shown: HIDDEN })),
      ...(this.#masks.size === 0 ? [] : maskedTextsOf(this.#bag, this.#masks)).map((text) => ({ text, shown: MASKED })),
    ]));
  }
}
