/**
 * Changes of the query, in the form that Envoy takes.
 * **In**: changes by decoded names and values, and the path of the request. **Out**: names and values as they stand in a path.
 * **Fails**: never.
 *
 * Envoy compares and writes parameters as they are spelt, and upstreams decode them. So values are encoded, or `gold&admin=1` would be two
 * parameters; and each spelling of a changed name in the request is removed, or `%74ier=gold` would pass for a `tier` that a rule sets.
 */
import type { NetChanges } from '../../core/call.ts';
import { queryOf } from '../../attributes/url.ts';
import type { HeaderPair } from '../header-pairs.ts';

type QueryChanges = NetChanges['query'];

export const hasQueryChanges = ({ set, remove }: QueryChanges): boolean => set.length > 0 || remove.length > 0;

export function spelledChanges(
  { set, remove }: QueryChanges,
  path: string,
): { readonly set: readonly HeaderPair[]; readonly remove: readonly string[] } {
  const written = set.map(([name, value]): HeaderPair => [encoded(name), encoded(value)]);
  const kept = new Set(written.map(([name]) => name));
  const removed = new Set([...remove, ...remove.map(encoded)]);
  const changed = new Set([...remove, ...set.map(([name]) => name)]);
  for (const spelling of namesOf(path)) if (changed.has(decoded(spelling))) removed.add(spelling);
  return { set: written, remove: [...removed].filter((name) => !kept.has(name)) };
}

const encoded = (text: string): string => encodeURIComponent(text.toWellFormed());

/** As `request.query` reads it. */
const decoded = (spelling: string): string => queryOf(`?${spelling}`).keys().next().value ?? '';

/** As they are spelt, up to the first `=` of each parameter. */
function namesOf(path: string): readonly string[] {
  const start = path.indexOf('?');
  if (start < 0) return [];
  const end = path.indexOf('#', start);
  const query = path.slice(start + 1, end < 0 ? path.length : end);
  return query.split('&').map((parameter) => parameter.split('=', 1)[0] ?? '');
}
