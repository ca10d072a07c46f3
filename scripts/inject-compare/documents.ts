/**
 * Manifests as data: null and {} count as absent, and the status annotation is without its version, which is a digest of the template's
 * text. Istio writes through structs of Go, which add a status with zeros, the server's own, and drop defaults that are written: both count
 * as absent.
 */
import { isDeepStrictEqual } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { STATUS_ANNOTATION } from '../../src/inject/contract.ts';

export interface Compared {
  readonly equal: number;
  readonly runs: number;
}

/** Without empty ones. */
export const documentsIn = (text: string): unknown[] =>
  parseAllDocuments(text, { version: '1.1' })
    .map((document) => document.toJS() as unknown)
    .filter((document) => document !== null);

const DEFAULTS = new Map<string, unknown>([
  ['minReadySeconds', 0],
  ['paused', false],
  ['test', false],
]);

/** In any order of keys. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  const entries = Object.entries(value)
    .filter(
      ([key, inner]) => !(key === 'status' && 'kind' in value) && !(DEFAULTS.has(key) && DEFAULTS.get(key) === inner),
    )
    .map(([key, inner]) => [key, key === STATUS_ANNOTATION ? statusIn(inner as string) : plain(inner)] as const)
    .filter(([, inner]) => inner !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

const statusIn = (text: string): unknown => ({ ...(JSON.parse(text) as object), version: 'any' });

/** Path of the first difference between two plain values. */
export function difference(ours: unknown, theirs: unknown, path = ''): string | undefined {
  if (isDeepStrictEqual(ours, theirs)) return undefined;
  if (typeof ours === 'object' && typeof theirs === 'object' && ours !== null && theirs !== null)
    for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
      const found = difference(
        (ours as Record<string, unknown>)[key],
        (theirs as Record<string, unknown>)[key],
        `${path}.${key}`,
      );
      if (found !== undefined) return found;
    }
  return `${path}: ours is ${JSON.stringify(ours)}, theirs ${JSON.stringify(theirs)}`;
}
