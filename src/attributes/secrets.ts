/** What is shown nowhere without asking (RULES section 3): attributes that are secret, and some headers whoever looks at them. */
import type { Attributes } from './attributes.ts';
import { RequestBag, type Wire } from './bag.ts';
import type { Value } from './values.ts';

/** Stands where it would be shown. */
export const HIDDEN = '(secret)';
export const SECRET_HEADERS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key']);
export const HEADER_MAPS: ReadonlySet<string> = new Set(['request.headers', 'response.headers', 'response.trailers']);

/** A request without its secrets, those that named expressions read included: what comes out the same from it tells none of them. */
export class SecretlessBag extends RequestBag {
  constructor(bag: RequestBag) {
    super(bag.attributes, secretless(bag.wire));
    for (const [slot, value] of filledOf(bag)) this.fill(slot, value);
  }

  override get(slot: number): Value | undefined {
    const { name, secret } = this.attributes.at(slot);
    if (secret) return undefined;
    const value = super.get(slot);
    if (!HEADER_MAPS.has(name) || !(value instanceof Map)) return value;
    return new Map([...value as ReadonlyMap<string, Value>].filter(([header]) => !SECRET_HEADERS.has(header)));
  }
}

const secretless = (wire: Wire): Wire => ({
  weight: wire.weight,
  keep: () => wire.keep(),
  read: (attribute) => wire.read(attribute),
  carried: (carrier) => (carrier.kind === 'header' && SECRET_HEADERS.has(carrier.name.toLowerCase()) ? undefined : wire.carried(carrier)),
});

/** What enrich rules have put there. */
function filledOf(bag: RequestBag): (readonly [slot: number, value: Value | undefined])[] {
  const { attributes } = bag;
  return slotsOf(attributes).filter((slot) => attributes.at(slot).source.kind === 'filled').map((slot) => [slot, bag.get(slot)]);
}

const slotsOf = (attributes: Attributes): number[] => Array.from({ length: attributes.size }, (_, slot) => slot);
