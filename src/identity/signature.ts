/**
 * Algorithms of signatures on certificates and CSRs.
 * **In**: a key. **Out**: whether it is strong enough, and how it signs. **Fails**: with {@link WeakKey}.
 */
import type { KeyObject } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier } from '@peculiar/asn1-x509';

/** The type or size of a key is not accepted. */
class WeakKey extends Error {}

export interface SignatureAlgorithm {
  readonly oid: string;
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  readonly type: 'ec' | 'rsa';
  /** AlgorithmIdentifier. */
  readonly der: Uint8Array;
}

const NULL = Uint8Array.of(5, 0).buffer;

/** RFC 5758 section 3.2: without parameters. */
const ecdsa = (oid: string, hash: SignatureAlgorithm['hash']): SignatureAlgorithm => ({
  oid,
  hash,
  type: 'ec',
  der: new Uint8Array(AsnConvert.serialize(new AlgorithmIdentifier({ algorithm: oid }))),
});
/** RFC 4055 section 5: the parameters are NULL. */
const rsa = (oid: string, hash: SignatureAlgorithm['hash']): SignatureAlgorithm => ({
  oid,
  hash,
  type: 'rsa',
  der: new Uint8Array(AsnConvert.serialize(new AlgorithmIdentifier({ algorithm: oid, parameters: NULL }))),
});

const ALGORITHMS: readonly SignatureAlgorithm[] = [
  ecdsa('1.2.840.10045.4.3.2', 'sha256'),
  ecdsa('1.2.840.10045.4.3.3', 'sha384'),
  ecdsa('1.2.840.10045.4.3.4', 'sha512'),
  rsa('1.2.840.113549.1.1.11', 'sha256'),
  rsa('1.2.840.113549.1.1.12', 'sha384'),
  rsa('1.2.840.113549.1.1.13', 'sha512'),
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
