/**
 * Certificates by the profile of SPIFFE (X509-SVID.md): their parts written by a library of ASN.1 types, signed by node:crypto.
 * **In**: a signing certificate with its key, a public key, names, a time. **Out**: certificates in PEM.
 * **Fails**: with an Error that names the fault of a certificate or key; never with a part of a key.
 *
 * It takes 60 ms to load, so modules that import it are themselves imported on first use.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
} from '@peculiar/asn1-x509';
import { der, pemOf, publicDer, signedDer, Tag } from './der.ts';
import { algorithmOf, type SignatureAlgorithm } from './signature.ts';

export { BadCsr, createCsr, readCsr } from './csr.ts';

/** A certificate that signs others, read once. */
export interface SigningCertificate {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly algorithm: SignatureAlgorithm;
  /** As certificates name their issuer. */
  readonly subject: Uint8Array;
  readonly issuedBy: Uint8Array;
  readonly endsAtMs: number;
}

export interface Leaf {
  readonly publicKey: KeyObject;
  /** The SPIFFE ID: exactly one, or a peer has to refuse the certificate. */
  readonly uri: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly ttlMs: number;
}

export interface IssuedCertificate {
  readonly pem: string;
  readonly notAfterMs: number;
}

/** Clocks of peers may be behind ours by this much. */
export const BACKDATED_MS = 2 * 60_000;
const SERIAL_BYTES = 16;

/** A private key on P-256. */
export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** PKCS #8 in PEM. */
export const keyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;

/** Throws if the certificate may not sign certificates, or the key is not its own. */
export function signingCertificate(certificate: X509Certificate, key: KeyObject): SigningCertificate {
  if (!certificate.checkPrivateKey(key)) throw new Error('the key does not belong to the certificate');
  const { subject, extensions = [] } = contentOf(certificate);
  const usage = extensionIn(extensions, id_ce_keyUsage);
  if (
    !certificate.ca ||
    (usage !== undefined && (AsnConvert.parse(usage.buffer, KeyUsage).toNumber() & KeyUsageFlags.keyCertSign) === 0)
  )
    throw new Error('the certificate may not sign others: it needs basicConstraints CA:TRUE and keyUsage keyCertSign');
  const keyId = extensionIn(extensions, id_ce_subjectKeyIdentifier);
  return {
    certificate,
    key,
    algorithm: algorithmOf(key),
    subject: encoded(subject),
    issuedBy: authorityKey(
      keyId === undefined ? keyIdOf(certificate.publicKey) : AsnConvert.parse(keyId.buffer, SubjectKeyIdentifier),
    ),
    endsAtMs: certificate.validToDate.getTime(),
  };
}

/** Ends with the signing certificate at the latest. Throws if that has ended. */
export function issue(
  signer: SigningCertificate,
  { publicKey, uri, dnsNames = [], ipAddresses = [], ttlMs }: Leaf,
  nowMs: number,
): IssuedCertificate {
  const notAfterMs = wholeSeconds(Math.min(nowMs + ttlMs, signer.endsAtMs));
  if (notAfterMs <= nowMs)
    throw new Error(`the signing certificate ended at ${new Date(signer.endsAtMs).toISOString()}`);
  const names = [
    new GeneralName({ uniformResourceIdentifier: uri }),
    ...dnsNames.map((dNSName) => new GeneralName({ dNSName })),
    ...ipAddresses.map((iPAddress) => new GeneralName({ iPAddress })),
  ];
  return {
    notAfterMs,
    pem: signed(signer.key, signer.algorithm, {
      issuer: signer.subject,
      subject: NO_NAME,
      validity: { notBeforeMs: nowMs - BACKDATED_MS, notAfterMs },
      publicKey,
      extensions: [
        ...LEAF,
        signer.issuedBy,
        extensionOf(id_ce_subjectAltName, true, new SubjectAlternativeName(names)),
      ],
    }),
  };
}

export interface Root {
  readonly key: KeyObject;
  readonly trustDomain: string;
  readonly ttlMs: number;
}

/** A certificate that signs itself, for a trust domain. */
export function selfSignedRoot({ key, trustDomain, ttlMs }: Root, nowMs: number): IssuedCertificate {
  const notAfterMs = wholeSeconds(nowMs + ttlMs);
  const publicKey = createPublicKey(key);
  const keyId = keyIdOf(publicKey);
  const name = organisation(trustDomain);
  return {
    notAfterMs,
    pem: signed(key, algorithmOf(key), {
      issuer: name,
      subject: name,
      validity: { notBeforeMs: nowMs - BACKDATED_MS, notAfterMs },
      publicKey,
      extensions: [
        extensionOf(id_ce_basicConstraints, true, new BasicConstraints({ cA: true })),
        extensionOf(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign)),
        extensionOf(id_ce_subjectKeyIdentifier, false, keyId),
        extensionOf(
          id_ce_subjectAltName,
          false,
          new SubjectAlternativeName([new GeneralName({ uniformResourceIdentifier: `spiffe://${trustDomain}` })]),
        ),
      ],
    }),
  };
}

/** All certificates of a text in PEM, in order. Throws if there is none, or one is malformed or cut off. */
export function certificatesOf(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  const begun = pem.match(/-----BEGIN CERTIFICATE-----/g)?.length ?? 0;
  if (begun === 0) throw new Error('it has no certificate in PEM (BEGIN CERTIFICATE)');
  if (blocks.length < begun) throw new Error(`its certificate ${blocks.length + 1} of ${begun} is cut off`);
  return blocks.map((block, at) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error(`its certificate ${at + 1} of ${blocks.length} is malformed`, { cause: error });
    }
  });
}

/** Its URI SANs, in their order. */
export function urisOf(certificate: X509Certificate): readonly string[] {
  const names = extensionIn(contentOf(certificate).extensions ?? [], id_ce_subjectAltName);
  if (names === undefined) return [];
  return AsnConvert.parse(names.buffer, SubjectAlternativeName).flatMap(({ uniformResourceIdentifier: uri }) =>
    uri === undefined ? [] : [uri],
  );
}

const contentOf = ({ raw }: X509Certificate): TBSCertificate =>
  AsnConvert.parse(new Uint8Array(raw), Certificate).tbsCertificate;
const extensionIn = (extensions: Iterable<Extension>, id: string): OctetString | undefined =>
  [...extensions].find(({ extnID }) => extnID === id)?.extnValue;

/** In PEM, with a trailing newline. */
export const certificatePem = ({ raw }: X509Certificate): string => pemOf('CERTIFICATE', raw);

interface Fields {
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly validity: { readonly notBeforeMs: number; readonly notAfterMs: number };
  readonly publicKey: KeyObject;
  readonly extensions: readonly Uint8Array[];
}

function signed(
  key: KeyObject,
  algorithm: SignatureAlgorithm,
  { issuer, subject, validity, publicKey, extensions }: Fields,
): string {
  const content = der(
    Tag.SEQUENCE,
    VERSION_3,
    der(Tag.INTEGER, serialNumber()),
    algorithm.der,
    issuer,
    encoded(
      new Validity({
        notBefore: new Date(wholeSeconds(validity.notBeforeMs)),
        notAfter: new Date(validity.notAfterMs),
      }),
    ),
    subject,
    publicDer(publicKey),
    der(Tag.EXTENSIONS, der(Tag.SEQUENCE, ...extensions)),
  );
  return pemOf('CERTIFICATE', signedDer(content, algorithm.der, sign(algorithm.hash, content, key)));
}

const encoded = (value: unknown): Uint8Array => new Uint8Array(AsnConvert.serialize(value));
const VERSION_3 = der(Tag.VERSION, der(Tag.INTEGER, Uint8Array.of(2)));
const NO_NAME = der(Tag.SEQUENCE);

/** Positive, and at most 20 octets (RFC 5280 section 4.1.2.2). */
function serialNumber(): Uint8Array {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40; // never padded, never negative
  return bytes;
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000;

/** RFC 7093 section 2, method 1: the first 160 bits of the SHA-256 of the key. */
function keyIdOf(publicKey: KeyObject): SubjectKeyIdentifier {
  const { subjectPublicKey } = AsnConvert.parse(publicDer(publicKey), SubjectPublicKeyInfo);
  const digest = createHash('sha256').update(new Uint8Array(subjectPublicKey)).digest();
  return new SubjectKeyIdentifier(new Uint8Array(digest.subarray(0, 20)));
}

const authorityKey = (keyId: SubjectKeyIdentifier): Uint8Array =>
  extensionOf(
    id_ce_authorityKeyIdentifier,
    false,
    new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyId.buffer) }),
  );

const extensionOf = (extnID: string, critical: boolean, value: unknown): Uint8Array =>
  encoded(new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) }));

const ORGANISATION = '2.5.4.10';
const organisation = (utf8String: string): Uint8Array =>
  encoded(
    new Name([
      new RelativeDistinguishedName([
        new AttributeTypeAndValue({ type: ORGANISATION, value: new AttributeValue({ utf8String }) }),
      ]),
    ]),
  );

/** Of every leaf. Envoy refuses a peer without digitalSignature; keyEncipherment is for RSA keys of old clients. */
const LEAF: readonly Uint8Array[] = [
  extensionOf(id_ce_basicConstraints, true, new BasicConstraints({ cA: false })),
  extensionOf(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment)),
  extensionOf(id_ce_extKeyUsage, false, new ExtendedKeyUsage([id_kp_serverAuth, id_kp_clientAuth])),
];
