/** The parts of a request's path: `request.url_path` and `request.query`. */
import type { AttributeSettings } from './attributes.ts';

const [QUESTION, HASH, PERCENT, BACKSLASH, SLASH, DOT] = [0x3f, 0x23, 0x25, 0x5c, 0x2f, 0x2e];

/** The path before `?` or `#`, normalised as Istio's MeshConfig.ProxyPathNormalization says. */
export function urlPathOf(path: string, normalization: AttributeSettings['path']): string {
  // In one go: where it ends, and whether normalisation could change it. Each call asks for it, and nearly no path is changed.
  let end = 0;
  let isUnusual = false;
  let before = 0;
  for (; end < path.length; end++) {
    const unit = path.charCodeAt(end);
    if (unit === QUESTION || unit === HASH) break;
    if (unit <= 0x20 || unit >= 0x7f || unit === PERCENT || unit === BACKSLASH || (before === SLASH && (unit === SLASH || unit === DOT))) isUnusual = true;
    before = unit;
  }
  const raw = end === path.length ? path : path.slice(0, end);
  if (normalization === 'NONE' || !isUnusual) return raw;
  let text = raw;
  if (normalization === 'DECODE_AND_MERGE_SLASHES') text = text.replaceAll(/%2f/gi, '/').replaceAll(/%5c/gi, '\\');
  text = text.replaceAll('\\', '/');
  if (!text.startsWith('/')) return raw; // `*` of OPTIONS, or no path at all
  const resolved = withoutDots(text.replaceAll(/%[0-9a-f]{2}/gi, plainCharacter));
  return normalization === 'BASE' ? resolved : resolved.replaceAll(/\/{2,}/g, '/');
}

/** The parameters of a path's query, decoded; of a repeated one the first value, as Envoy reads them. */
export function queryOf(path: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const start = path.indexOf('?');
  if (start < 0) return found;
  const fragment = path.indexOf('#', start);
  for (const [name, value] of new URLSearchParams(path.slice(start + 1, fragment < 0 ? undefined : fragment))) {
    if (!found.has(name)) found.set(name, value);
  }
  return found;
}

/** RFC 3986 section 6.2.2.2: an escape of an unreserved character is that character; the digits of others are upper case. */
function plainCharacter(escape: string): string {
  const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : escape.toUpperCase();
}

/** RFC 3986 section 5.2.4. An empty segment is a segment: `/a//..` is `/a/`. */
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
