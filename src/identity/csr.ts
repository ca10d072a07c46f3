/**
 * Certificate signing requests (PKCS #10, RFC 2986).
 * **In**: a key, or the PEM of a stranger. **Out**: a CSR, or the public key whose owner signed it.
 * **Fails**: with {@link BadCsr}; the CSR's names and extensions are not read, since they prove nothing.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { type BaseBlock, BitString, fromBER, Integer, ObjectIdentifier, Sequence } from 'asn1js';
import { messageOf } from '../text/message-of.ts';
import { der, pemOf, publicDer, signedDer, Tag } from './der.ts';
import { algorithmNamed, algorithmOf } from './signature.ts';

/** A CSR that is not signed; the message is for its sender. */
export class BadCsr extends Error {}

/** One of RSA with 8192 bits has 2 KB, and agents add a few names. */
const MAX_CHARACTERS = 16 * 1024;
const PEM =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (NEW )?CERTIFICATE REQUEST-----\s*$/;

/** In PEM, for the public part of a private key. */
export function createCsr(key: KeyObject): string {
  const algorithm = algorithmOf(key);
  const content = der(Tag.SEQUENCE, VERSION_1, NO_NAME, publicDer(createPublicKey(key)), der(Tag.ATTRIBUTES));
  return pemOf('CERTIFICATE REQUEST', signedDer(content, algorithm.der, sign(algorithm.hash, content, key)));
}

const VERSION_1 = der(Tag.INTEGER, Uint8Array.of(0));
const NO_NAME = der(Tag.SEQUENCE);

/** The key in a CSR that its owner has signed. Throws {@link BadCsr}. */
export function readCsr(pem: string): KeyObject {
  if (pem.length > MAX_CHARACTERS) throw new BadCsr(`the CSR has more than ${MAX_CHARACTERS} characters`);
  const base64 = PEM.exec(pem)?.[2];
  if (base64 === undefined) throw new BadCsr('the CSR is not one PEM block of the type CERTIFICATE REQUEST');
  const { key, content, oid, signature } = parsed(Buffer.from(base64, 'base64'));
  const weakness = weaknessOf(key);
  if (weakness !== undefined) throw new BadCsr(weakness);
  const algorithm = algorithmNamed(oid, key.asymmetricKeyType);
  if (algorithm === undefined)
    throw new BadCsr(`the CSR is signed by the algorithm ${oid}; use SHA-256, SHA-384 or SHA-512 with its own key`);
  if (!verify(algorithm.hash, content, key, signature))
    throw new BadCsr('the signature of the CSR is not by its own key');
  return key;
}

/** In DER, of a named curve and an uncompressed point: the only form that all peers read. */
const EC_BYTES: Readonly<Record<string, number>> = { prime256v1: 91, secp384r1: 120 };

function weaknessOf(key: KeyObject): string | undefined {
  try {
    algorithmOf(key);
  } catch (error) {
    return messageOf(error);
  }
  const bytes = EC_BYTES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  return bytes === undefined || publicDer(key).length === bytes
    ? undefined
    : 'the key has explicit parameters or a compressed point; write the name of its curve and an uncompressed point';
}

interface ParsedCsr {
  readonly key: KeyObject;
  /** Signed, as it was received. */
  readonly content: Uint8Array;
  /** Of the algorithm of the signature. */
  readonly oid: string;
  readonly signature: Uint8Array;
}

function parsed(bytes: Buffer): ParsedCsr {
  try {
    const { offset, result } = fromBER(bytes);
    if (offset !== bytes.length) throw new Error('octets follow');
    const [content, algorithm, signature] = partsOf(result);
    const [version, , publicKey] = partsOf(content);
    const [oid] = partsOf(algorithm);
    if (!(version instanceof Integer && oid instanceof ObjectIdentifier && signature instanceof BitString))
      throw new Error('a part is of another type');
    return {
      content: octetsOf(content),
      key: createPublicKey({ key: Buffer.from(octetsOf(publicKey)), format: 'der', type: 'spki' }),
      oid: oid.getValue(),
      signature: signature.valueBlock.valueHexView,
    };
  } catch (error) {
    throw new BadCsr('the CSR is malformed', { cause: error });
  }
}

function partsOf(block: BaseBlock | undefined): readonly BaseBlock[] {
  if (block instanceof Sequence) return block.valueBlock.value as readonly BaseBlock[];
  throw new Error('a part is no sequence');
}

function octetsOf(block: BaseBlock | undefined): Uint8Array {
  if (block instanceof Sequence) return block.valueBeforeDecodeView;
  throw new Error('a part is no sequence');
}
