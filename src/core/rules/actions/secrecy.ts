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
  readonly #exposed: Known = new Map();
  readonly #read: Known = new Map();

  /** `madeOf`: the reads of a named expression. */
  constructor(attributes: () => Attributes, madeOf: (name: string) => readonly Read[]) {
    this.#attributes = attributes;
    this.#madeOf = madeOf;
  }

  /** As written: `request.api_key`, `request.headers["cookie"]`, or `request.headers`, which contains some. */
  exposedBy(reads: readonly Read[]): readonly string[] {
    return [...this.#secretsOf(reads.flatMap(exposedOf), exposedOf, this.#exposed).values()];
  }

  /** Whether the value may have a secret in the clear, since the policy writes `reveal(...)` in it, or in an expression that it names. */
  isRevealedBy({ source, reads }: Pick<Compiled, 'source' | 'reads'>): boolean {
    const isNamed = ({ slot }: Read): boolean => this.#attributes().at(slot).source.kind === 'is';
    const read = source.includes('reveal') ? reads.map(({ name }) => ({ name, keys: [] })) : reads.filter(isNamed);
    return this.#secretsOf(read, (below) => [below], this.#read).size > 0;
  }

  /** `counting`: the reads of a named expression that count; `known` has its secrets. Of several ways to a secret, the first. */
  #secretsOf(reads: readonly SecretRead[], counting: (read: Read) => readonly SecretRead[], known: Known): Secrets {
    const found = new Map<string, string>();
    for (const read of reads)
      for (const [secret, text] of this.#secretsOfOne(read, counting, known))
        if (!found.has(secret)) found.set(secret, text);
    return found;
  }

  #secretsOfOne(
    { name, keys }: SecretRead,
    counting: (read: Read) => readonly SecretRead[],
    known: Known,
  ): Iterable<readonly [secret: string, text: string]> {
    const attributes = this.#attributes();
    const slot = attributes.slotOf(name);
    if (slot === undefined) return [];
    const { secret, source } = attributes.at(slot);
    if (secret) return [[name, name]];
    if (HEADER_MAPS.has(name) || QUERY_MAPS.has(name)) {
      const texts =
        keys.length === 0
          ? [name]
          : keys
              .filter(({ key }) => isSecretEntry(attributes, name, key))
              .map(({ key }) => `${name}[${JSON.stringify(key)}]`);
      return texts.map((text) => [text, text]);
    }
    if (source.kind === 'from')
      return source.carriers.some((carrier) => carrier.kind === 'header' && isSecretHeader(attributes, carrier.name))
        ? [[name, name]]
        : [];
    if (source.kind !== 'is') return [];
    let found = known.get(name);
    if (found === undefined) {
      const below = this.#secretsOf(this.#madeOf(name).flatMap(counting), counting, known);
      found = new Map(Array.from(below, ([one, text]) => [one, `${name} (of ${text})`]));
      known.set(name, found);
    }
    return found;
  }
}

/** By the secret itself: how it is read, as shown. */
type Secrets = ReadonlyMap<string, string>;
/** Of named expressions: each is walked once, however many ways lead to it. */
type Known = Map<string, Secrets>;

/** A read that may carry a secret into the value. For a map: the keys that are read, or the whole map if no key is named. */
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
