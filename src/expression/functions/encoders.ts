/** cel-go's encoders extension, percent-encoding, JSON and forms. */
import { BYTES, DYN, listOf, mapOf, STRING } from '../../attributes/types.ts';
import { parametersOf } from '../../attributes/url.ts';
import { spendCharacters, spendSteps } from '../budget.ts';
import { jsonValue, jsonValueOfBytes, NOT_JSON } from './json.ts';
import { type Overload, fn } from './overload.ts';

/** Without padding or with all of it, as in cel-go: one value has one spelling of each. `undefined` for text that is not base64. */
function decoded(text: string): Uint8Array | undefined {
  const bare = text.replace(/={0,2}$/, '');
  const isPadded = bare.length === text.length || text.length % 4 === 0;
  return isPadded && /^[A-Za-z0-9+/]*$/.test(bare) && bare.length % 4 !== 1
    ? new Uint8Array(Buffer.from(bare, 'base64'))
    : undefined;
}

/** For a part of a path or of a query (RFC 3986); `undefined` for text that is not Unicode. */
const percentEncoded = (text: string): string | undefined =>
  text.isWellFormed() ? encodeURIComponent(text) : undefined;

/** A parameter takes a microsecond to decode, as long as so many steps. */
const STEPS_OF_PARAMETER = 10;

/** All values of each name, in their order: which one counts is for the upstream to say. */
function formValues(text: string): ReadonlyMap<string, readonly string[]> {
  spendCharacters(text.length);
  for (let at = 0; at >= 0; at = text.indexOf('&', at + 1)) spendSteps(STEPS_OF_PARAMETER);
  const found = new Map<string, string[]>();
  for (const [name, value] of parametersOf(text)) {
    const values = found.get(name);
    if (values === undefined) found.set(name, [value]);
    else values.push(value);
  }
  return found;
}

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
  fn('form.decode', [STRING], mapOf(STRING, listOf(STRING)), formValues, { builds: true }),
  fn('url.encode', [STRING], STRING, percentEncoded),
];
