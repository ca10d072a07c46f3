/**
 * Certificate signing requests (PKCS #10, RFC 2986).
 * **In**: a key, or the PEM of a stranger. **Out**: a CSR, or the public key whose owner signed it.
 * **Fails**: with {@link BadCsr}; the CSR's names and extensions are not read, since they prove nothing.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, Name, SubjectPublicKeyInfo } from '@peculiar/asn1-x509';
import { messageOf } from '../text/message-of.ts';
import { algorithmNamed, algorithmOf } from './signature.ts';

/** A CSR that is not signed; the message is for its sender. */
export class BadCsr extends Error {}

/** One of RSA with 8192 bits has 2 KB, and agents add a few names. */
const MAX_CHARACTERS = 16 * 1024;
const PEM =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (NEW )?CERTIFICATE REQUEST-----\s*$/;

/** In PEM, for the public part of a private key. */
export function createCsr(key: KeyObject): string {
  const info = new CertificationRequestInfo({
    subject: new Name(),
    subjectPKInfo: AsnConvert.parse(publicDer(createPublicKey(key)), SubjectPublicKeyInfo),
  });
  const { oid, hash } = algorithmOf(key);
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm: oid }),
    signature: new Uint8Array(sign(hash, new Uint8Array(AsnConvert.serialize(info)), key)).buffer,
  });
  return pemOf('CERTIFICATE REQUEST', Buffer.from(AsnConvert.serialize(request)));
}

/** The key in a CSR that its owner has signed. Throws {@link BadCsr}. */
export function readCsr(pem: string): KeyObject {
  if (pem.length > MAX_CHARACTERS) throw new BadCsr(`the CSR has more than ${MAX_CHARACTERS} characters`);
  const base64 = PEM.exec(pem)?.[2];
  if (base64 === undefined) throw new BadCsr('the CSR is not one PEM block of the type CERTIFICATE REQUEST');
  const { key, request } = parsed(Buffer.from(base64, 'base64'));
  const weakness = weaknessOf(key);
  if (weakness !== undefined) throw new BadCsr(weakness);
  const named = request.signatureAlgorithm.algorithm;
  const algorithm = algorithmNamed(named, key.asymmetricKeyType);
  if (algorithm === undefined)
    throw new BadCsr(`the CSR is signed by the algorithm ${named}; use SHA-256, SHA-384 or SHA-512 with its own key`);
  const { certificationRequestInfoRaw = NO_BYTES, signature } = request;
  if (!verify(algorithm.hash, new Uint8Array(certificationRequestInfoRaw), key, new Uint8Array(signature)))
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

function parsed(der: Buffer): { readonly key: KeyObject; readonly request: CertificationRequest } {
  try {
    const request = AsnConvert.parse(new Uint8Array(der), CertificationRequest);
    const spki = Buffer.from(AsnConvert.serialize(request.certificationRequestInfo.subjectPKInfo));
    return { request, key: createPublicKey({ key: spki, format: 'der', type: 'spki' }) };
  } catch (error) {
    throw new BadCsr('the CSR is malformed', { cause: error });
  }
}

const NO_BYTES = new ArrayBuffer(0);

export const publicDer = (key: KeyObject): Buffer<ArrayBuffer> =>
  key.export({ type: 'spki', format: 'der' }) as Buffer<ArrayBuffer>;

/** With a trailing newline, as OpenSSL writes it. */
export const pemOf = (type: string, der: Buffer): string =>
  `-----BEGIN ${type}-----\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${type}-----\n`;
