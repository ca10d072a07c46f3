/**
 * Secrets that an expression exposes (docs/rules.md, section 3, "Secrets").
 * **In**: its reads. **Out**: names of exposed secrets; expressions with digests or masks in their place. **Fails**: never.
 *
 * A secret is sent in the clear only where the policy writes `reveal(...)`.
 */
import { createHmac } from 'node:crypto';
import type { Attributes } from '../../../attributes/attributes.ts';
import { RequestBag, type Bag } from '../../../attributes/bag.ts';
import { HEADER_MAPS, isSecretEntry, isSecretHeader, MaskedBag, QUERY_MAPS } from '../../../attributes/secrets.ts';
import { STRING } from '../../../attributes/types.ts';
import { type Compiled, FAILED, type Read } from '../../../expression/index.ts';
import { keyPart } from '../../key-text.ts';

/** Replicas that share a backend must share this key, so that a caller has one counter. */
const DIGEST_KEY = process.env['SLUICE_DIGEST_KEY'] ?? 'sluice';

export class Secrecy {
  readonly #attributes: () => Attributes;
  readonly #madeOf: (name: string) => readonly Read[];

  /** `madeOf`: what a named expression reads. */
  constructor(attributes: () => Attributes, madeOf: (name: string) => readonly Read[]) {
    this.#attributes = attributes;
    this.#madeOf = madeOf;
  }

  /** As written: `request.api_key`, `request.headers["cookie"]`, or `request.headers`, which contains some. */
  exposedBy(reads: readonly Read[]): readonly string[] {
    return this.#secretsOf(reads.flatMap(exposedOf), exposedOf, new Set());
  }

  /** Whether the value may have a secret in the clear, since the policy writes `reveal(...)` in it, or in an expression that it names. */
  isRevealedBy({ source, reads }: Pick<Compiled, 'source' | 'reads'>): boolean {
    const isNamed = ({ slot }: Read): boolean => this.#attributes().at(slot).source.kind === 'is';
    const read = source.includes('reveal') ? reads.map(({ name }) => ({ name, keys: [] })) : reads.filter(isNamed);
    return this.#secretsOf(read, (below) => [below], new Set()).length > 0;
  }

  /** `counting`: the reads of a named expression that count. */
  #secretsOf(
    reads: readonly SecretRead[],
    counting: (read: Read) => readonly SecretRead[],
    seen: ReadonlySet<string>,
  ): readonly string[] {
    return [...new Set(reads.flatMap((read) => this.#secretsOfOne(read, counting, seen)))];
  }

  #secretsOfOne(
    { name, keys }: SecretRead,
    counting: (read: Read) => readonly SecretRead[],
    seen: ReadonlySet<string>,
  ): readonly string[] {
    const attributes = this.#attributes();
    const slot = attributes.slotOf(name);
    if (slot === undefined || seen.has(name)) return [];
    const { secret, source } = attributes.at(slot);
    if (secret) return [name];
    if (HEADER_MAPS.has(name) || QUERY_MAPS.has(name)) {
      return keys.length === 0
        ? [name]
        : keys
            .filter(({ key }) => isSecretEntry(attributes, name, key))
            .map(({ key }) => `${name}[${JSON.stringify(key)}]`);
    }
    if (source.kind === 'from')
      return source.carriers.some((carrier) => carrier.kind === 'header' && isSecretHeader(attributes, carrier.name))
        ? [name]
        : [];
    if (source.kind !== 'is') return [];
    const below = this.#madeOf(name).flatMap(counting);
    return this.#secretsOf(below, counting, new Set([...seen, name])).map((one) => `${name} (of ${one})`);
  }
}

/** A read that may carry a secret into the value; of a map: of the keys that it reads, or of all where there are none. */
type SecretRead = Pick<Read, 'name'> & { readonly keys: readonly { readonly key: string }[] };

/** Those outside of `reveal(...)`. */
function exposedOf({ name, exposed, keys }: Read): readonly SecretRead[] {
  if (exposed) return [{ name, keys: [] }];
  const exposedKeys = keys.filter((key) => key.exposed);
  return exposedKeys.length === 0 ? [] : [{ name, keys: exposedKeys }];
}

/** Replaces the value by its HMAC; equal values have equal digests. */
export function digested(compiled: Compiled): Compiled {
  return {
    ...compiled,
    type: STRING,
    constant: undefined,
    guards: [],
    why: (bag) => compiled.why(bag),
    evaluate(bag) {
      const value = compiled.evaluate(bag);
      return value === FAILED
        ? FAILED
        : createHmac('sha256', DIGEST_KEY).update(keyPart(value, compiled.type)).digest('base64url');
    },
  };
}

/** Evaluates with `(secret)` in place of each secret. */
export function masked(compiled: Compiled): Compiled {
  return {
    ...compiled,
    constant: undefined,
    guards: [],
    why: (bag) => compiled.why(bag),
    evaluate: (bag) => evaluateMasked(compiled, bag),
  };
}

function evaluateMasked(compiled: Compiled, bag: Bag): ReturnType<Compiled['evaluate']> {
  if (bag instanceof RequestBag) return compiled.evaluate(new MaskedBag(bag));
  compiled.evaluate(bag); // for a recording bag
  return FAILED;
}
