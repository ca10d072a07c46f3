/** cel-go's encoders extension, percent-encoding, and JSON. */
import { BYTES, DYN, STRING } from '../../attributes/types.ts';
import { jsonValue, jsonValueOfBytes, NOT_JSON } from './json.ts';
import { type Overload, fn } from './overload.ts';

/** With or without padding, as in cel-go; `undefined` for text that is not base64. */
function decoded(text: string): Uint8Array | undefined {
  const bare = text.replace(/={0,2}$/, '');
  return /^[A-Za-z0-9+/]*$/.test(bare) && bare.length % 4 !== 1
    ? new Uint8Array(Buffer.from(bare, 'base64'))
    : undefined;
}

/** For a part of a path or of a query (RFC 3986); `undefined` for text that is not Unicode. */
const percentEncoded = (text: string): string | undefined =>
  text.isWellFormed() ? encodeURIComponent(text) : undefined;

export const ENCODERS: readonly Overload[] = [
  fn('base64.encode', [BYTES], STRING, (bytes: Uint8Array) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
  ),
  fn('base64.decode', [STRING], BYTES, decoded, {
    checkConstant: ([text]) =>
      typeof text === 'string' && decoded(text) === undefined ? `${JSON.stringify(text)} is not base64` : undefined,
  }),
  fn('json.decode', [STRING], DYN, jsonValue, {
    builds: true,
    checkConstant: ([text]) => (typeof text === 'string' && jsonValue(text) === undefined ? NOT_JSON : undefined),
  }),
  fn('json.decode', [BYTES], DYN, jsonValueOfBytes, { builds: true }),
  fn('url.encode', [STRING], STRING, percentEncoded),
];
