/** The parts of a request's target: `request.url_path`, `request.query`. */
import type { AttributeSettings } from './attributes.ts';
import { QueryMap } from './query-map.ts';

const [QUESTION, HASH, PERCENT, PLUS, BACKSLASH, SLASH, DOT] = [0x3f, 0x23, 0x25, 0x2b, 0x5c, 0x2f, 0x2e];

/** The path before `?` or `#`, normalised as in Istio's MeshConfig.ProxyPathNormalization; `strip` removes parameters. */
export function urlPathOf(
  path: string,
  { path: normalization, pathParameters }: Pick<AttributeSettings, 'path' | 'pathParameters'>,
): string {
  // One pass finds the end and whether normalisation could change the path. Each call needs it, and hardly any path changes.
  let end = 0;
  let isUnusual = false;
  let before = 0;
  for (; end < path.length; end++) {
    const unit = path.charCodeAt(end);
    if (unit === QUESTION || unit === HASH) break;
    if (
      unit <= 0x20 ||
      unit >= 0x7f ||
      unit === PERCENT ||
      unit === BACKSLASH ||
      (before === SLASH && (unit === SLASH || unit === DOT))
    )
      isUnusual = true;
    before = unit;
  }
  const written = end === path.length ? path : path.slice(0, end);
  const isStripped = pathParameters === 'strip' && written.includes(';');
  const raw = isStripped ? written.replaceAll(/;[^/]*/g, '') : written;
  // Of `/;x/admin` the first segment is empty now.
  if (normalization === 'NONE' || (!isUnusual && !isStripped)) return raw;
  let text = raw;
  if (normalization === 'DECODE_AND_MERGE_SLASHES') text = text.replaceAll(/%2f/gi, '/').replaceAll(/%5c/gi, '\\');
  text = text.replaceAll('\\', '/');
  if (!text.startsWith('/')) return raw; // `*` of OPTIONS, or no path at all
  const resolved = withoutDots(text.replaceAll(/%[0-9a-f]{2}/gi, plainCharacter));
  return normalization === 'BASE' ? resolved : resolved.replaceAll(/\/{2,}/g, '/');
}

const BEYOND_ASCII = /[^\0-\x7f]/;
const isAscii = (text: string): boolean => !BEYOND_ASCII.test(text);

/** The parameters of a path's query, decoded. The first value of a repeated name wins, as in Envoy. */
export function queryOf(path: string): ReadonlyMap<string, string> {
  const start = path.indexOf('?');
  if (start < 0) return NO_PARAMETERS;
  let end = start + 1;
  let needsDecoding = false;
  for (; end < path.length; end++) {
    const unit = path.charCodeAt(end);
    if (unit === HASH) break;
    if (unit === PERCENT || unit === PLUS || unit >= 0x80) needsDecoding = true;
  }
  return needsDecoding ? decodedQuery(path.slice(start + 1, end)) : new QueryMap(path, start + 1, end);
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();

function decodedQuery(query: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of parametersOf(query)) {
    if (!found.has(name)) found.set(name, value);
  }
  return found;
}

/**
 * The decoded parameters of a query, or of a form, in their order.
 *
 * Two quirks of URLSearchParams: it removes a leading question mark, although the first parameter of `??a=1` is named `?a`;
 * and Node's decodes unescaped characters beyond ASCII wrongly beside an invalid escape, so they are escaped first.
 */
export const parametersOf = (query: string): URLSearchParams =>
  // encodeURI escapes the sign of escapes, too; whatever else it escapes is decoded to the same.
  new URLSearchParams(`&${isAscii(query) ? query : encodeURI(query.toWellFormed()).replaceAll('%25', '%')}`);

/**
 * An empty segment, a segment of dots, a parameter, a backslash, a control character, or an escape of one of these; bytes that were no
 * text.
 */
const AMBIGUOUS = /\/\/|\/\.{1,2}(?:\/|$)|[;\\\p{Cc}\ufffd]|%(?:2e|2f|5c|3b|25|[01][0-9a-f]|7f)/iu;

/** Whether all servers read the path (before its query) alike. */
export function isPlainPath(path: string): boolean {
  const end = path.search(/[?#]/);
  const text = end < 0 ? path : path.slice(0, end);
  return !AMBIGUOUS.test(text) && (!text.includes('%') || isDecodable(text));
}

/**
 * A % that begins no escape may begin one when `/%%36%31dmin` is decoded twice; of bytes that are not UTF-8, `%c0%af`, some make a slash.
 */
function isDecodable(path: string): boolean {
  try {
    return decodeURIComponent(path) !== ''; // its value is used, since a bundler takes it for a call without effects
  } catch {
    return false;
  }
}

/** RFC 3986 section 6.2.2.2: unescapes unreserved characters, and writes the digits of other escapes in upper case. */
function plainCharacter(escape: string): string {
  const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : escape.toUpperCase();
}

/** RFC 3986 section 5.2.4. An empty segment counts: `/a//..` is `/a/`. */
function withoutDots(path: string): string {
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (last) kept.push('');
  }
  return `/${kept.join('/')}`;
}
