/**
 * Algorithms of signatures on certificates and CSRs.
 * **In**: a key. **Out**: whether it is strong enough, and how it signs. **Fails**: with {@link WeakKey}.
 */
import type { KeyObject } from 'node:crypto';

/** A key of a kind or size that nobody should use. */
export class WeakKey extends Error {}

export interface SignatureAlgorithm {
  readonly oid: string;
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  readonly type: 'ec' | 'rsa';
}

/** RFC 5758 section 3.2, and RFC 4055 section 5. */
const ALGORITHMS: readonly SignatureAlgorithm[] = [
  { oid: '1.2.840.10045.4.3.2', hash: 'sha256', type: 'ec' },
  { oid: '1.2.840.10045.4.3.3', hash: 'sha384', type: 'ec' },
  { oid: '1.2.840.10045.4.3.4', hash: 'sha512', type: 'ec' },
  { oid: '1.2.840.113549.1.1.11', hash: 'sha256', type: 'rsa' },
  { oid: '1.2.840.113549.1.1.12', hash: 'sha384', type: 'rsa' },
  { oid: '1.2.840.113549.1.1.13', hash: 'sha512', type: 'rsa' },
];

const HASH_OF_CURVE: Readonly<Record<string, SignatureAlgorithm['hash']>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
};
/** A signature by a longer key takes the event loop for milliseconds. */
const [MIN_RSA_BITS, MAX_RSA_BITS] = [2048, 8192];

/** How a key signs. Throws {@link WeakKey} for any but P-256, P-384 and RSA from 2048 to 8192 bits. */
export function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): SignatureAlgorithm {
  const { namedCurve = '', modulusLength = 0 } = asymmetricKeyDetails;
  const isRsa = asymmetricKeyType === 'rsa';
  const isStrong = isRsa
    ? modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS
    : asymmetricKeyType === 'ec' && Object.hasOwn(HASH_OF_CURVE, namedCurve);
  const algorithm = ALGORITHMS.find(
    ({ type, hash }) => type === asymmetricKeyType && hash === (isRsa ? 'sha256' : HASH_OF_CURVE[namedCurve]),
  );
  if (isStrong && algorithm !== undefined) return algorithm;
  const shown = isRsa ? `RSA with ${modulusLength} bits` : `of type ${asymmetricKeyType} ${namedCurve}`.trim();
  throw new WeakKey(
    `the key is ${shown}; use P-256 (best), P-384, or RSA from ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits`,
  );
}

/** The algorithm that a signature names, if a key of this type may make it. */
export const algorithmNamed = (oid: string, keyType: string | undefined): SignatureAlgorithm | undefined =>
  ALGORITHMS.find((one) => one.oid === oid && one.type === keyType);
