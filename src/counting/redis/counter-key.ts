/** Where a counter stands in Redis. */
import { createHash } from 'node:crypto';
import type { Algorithm } from '../../adapters/contract.ts';

/** A longer key is kept as its SHA-256, so that no client decides how much memory a counter takes. */
const MOST_CHARACTERS = 512;

const LETTER: Readonly<Record<Algorithm, string>> = { fixed: 'f', gcra: 'g', sliding: 's', log: 'l', concurrency: 'c' };

/** `sluice:f:60000:per-user:=ann`: algorithm, period, counter; all but the last part are free of colons, so unlike counters never meet. */
export function counterKey(
  prefix: string,
  { counter, algorithm }: { readonly counter: string; readonly algorithm: Algorithm },
  perMs: number,
  key: string,
): string {
  return `${prefix}${LETTER[algorithm]}:${perMs}:${counter.replaceAll('%', '%25').replaceAll(':', '%3A')}:${keyPart(key)}`;
}

/** `sluice:o:f:60000:per-user:="ann":id`: that a counter was charged for it once. */
export function markKey(
  prefix: string,
  bucket: { readonly counter: string; readonly algorithm: Algorithm },
  perMs: number,
  key: string,
  once: string,
): string {
  return counterKey(`${prefix}o:`, bucket, perMs, `${JSON.stringify(key)}:${once}`);
}

/** `sluice:h:f:60000:per-user:=ann`: who has taken how many of its units ahead. */
export function holdersKey(
  prefix: string,
  bucket: { readonly counter: string; readonly algorithm: Algorithm },
  perMs: number,
  key: string,
): string {
  return counterKey(`${prefix}h:`, bucket, perMs, key);
}

/** Who has an entry of a log: short whatever the text, free of its separators, and never a lone `-`. Nobody finds two with the same. */
export const holderName = (once: string): string =>
  createHash('sha256').update(keyPart(once)).digest('base64url').slice(0, 22);

/** Told apart by the first character. Half a surrogate pair would become U+FFFD on the way and meet others; JSON escapes it. */
function keyPart(key: string): string {
  const exact = key.isWellFormed() ? `=${key}` : `~${JSON.stringify(key)}`;
  return exact.length <= MOST_CHARACTERS ? exact : `#${createHash('sha256').update(exact).digest('base64url')}`;
}
