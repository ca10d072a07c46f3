/** DER (X.690) by hand: nests values that a library or node:crypto has encoded. */
import type { KeyObject } from 'node:crypto';

export const Tag = {
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  SEQUENCE: 0x30,
  ATTRIBUTES: 0xa0,
  EXTENSIONS: 0xa3,
  VERSION: 0xa0,
} as const;

/** One value: its tag, its length, its content. */
export function der(tag: number, ...content: readonly Uint8Array[]): Buffer<ArrayBuffer> {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  if (length > 0xffff) throw new Error(`a value of ${length} octets is too long for a certificate`);
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.from(head), ...content]);
}

/** Content and algorithm of a certificate or CSR, with the signature over the content. */
export const signedDer = (content: Uint8Array, algorithm: Uint8Array, signature: Uint8Array): Buffer =>
  der(Tag.SEQUENCE, content, algorithm, der(Tag.BIT_STRING, NO_UNUSED_BITS, signature));

const NO_UNUSED_BITS = Uint8Array.of(0);

/** SubjectPublicKeyInfo. */
export const publicDer = (key: KeyObject): Buffer<ArrayBuffer> =>
  key.export({ type: 'spki', format: 'der' }) as Buffer<ArrayBuffer>;

/** With a trailing newline, as OpenSSL writes it. */
export const pemOf = (type: string, bytes: Buffer): string =>
  `-----BEGIN ${type}-----\n${(bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${type}-----\n`;
