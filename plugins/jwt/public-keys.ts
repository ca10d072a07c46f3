/**
 * Public keys of an issuer.
 * **In**: a JSON Web Key Set (RFC 7517), or a key or certificate in PEM. **Out**: its usable keys, as JSON Web Keys.
 * **Fails**: with an Error if there is none; never takes a private or a symmetric one.
 */
import { createPublicKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto';
import { shown } from '../tokens/refused.ts';

export type PublicKey = Readonly<Record<string, unknown>>;
export interface PublicKeys {
  readonly keys: readonly PublicKey[];
  /** Those that cannot be used, each with the reason. */
  readonly unusable: readonly string[];
}

/** An issuer with more is at fault; without `kid` a token is tried with each. */
const MAX_KEYS = 100;
const LEAST_RSA_BITS = 2048;

export function publicKeysOf(given: unknown): PublicKeys {
  const keys = typeof given === 'string' ? keysOfText(given) : keysOf(given);
  if (keys.length > MAX_KEYS) throw new Error(`it has ${keys.length} keys; at most ${MAX_KEYS} are taken`);
  const unusable: string[] = [];
  const usable = keys.filter((key, at) => {
    const problem = problemOf(key);
    if (problem !== undefined) unusable.push(`keys[${at}] (kid ${shown(key['kid'])}): ${problem}`);
    return problem === undefined;
  });
  if (usable.length === 0)
    throw new Error(
      unusable.length === 0 ? 'it has no keys' : `it has no usable key: ${unusable.slice(0, 3).join('; ')}`,
    );
  return { keys: usable, unusable };
}

function keysOfText(text: string): readonly PublicKey[] {
  if (text.includes('-----BEGIN ')) {
    if (text.includes('PRIVATE KEY-----')) throw new Error('it has a private key; give the public one only');
    return [createPublicKey(text).export({ format: 'jwk' }) as PublicKey];
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new Error('it is neither JSON nor PEM', { cause: error });
  }
  return keysOf(document);
}

function keysOf(document: unknown): readonly PublicKey[] {
  const keys = typeof document === 'object' && document !== null && 'keys' in document ? document.keys : undefined;
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'object' && key !== null))
    throw new Error('it is not a JSON Web Key Set: expected { "keys": [...] }');
  return keys as readonly PublicKey[];
}

function problemOf(key: PublicKey): string | undefined {
  if (key['kty'] === 'oct') return 'it is a shared secret; only public keys are taken';
  if (['d', 'p', 'q', 'priv'].some((part) => part in key)) return 'it is a private key; publish its public part only';
  if (key['use'] !== undefined && key['use'] !== 'sig') return 'its use is not sig';
  let imported: KeyObject;
  try {
    imported = createPublicKey({ key, format: 'jwk' } as JsonWebKeyInput);
  } catch {
    return 'it cannot be read';
  }
  const bits = imported.asymmetricKeyDetails?.modulusLength;
  return bits !== undefined && bits < LEAST_RSA_BITS ? `it has ${bits} bits; RSA needs ${LEAST_RSA_BITS}` : undefined;
}
