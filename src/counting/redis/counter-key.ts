/** Names of counters in Redis. */
import { createHash } from 'node:crypto';
import type { CounterAlgorithm } from '../counter.ts';
import type { BucketSpec } from '../store.ts';

/** A longer key is kept as its SHA-256, so that no client decides how much memory a counter takes. */
const MAX_CHARACTERS = 512;

/** Names of the algorithms, in keys and in the script. */
export const LETTER: Readonly<Record<CounterAlgorithm, string>> = {
  fixed: 'f',
  gcra: 'g',
  sliding: 's',
  log: 'l',
  concurrency: 'c',
  window: 'w',
};

type Counted = Pick<BucketSpec, 'counter' | 'algorithm'>;

/**
 * `sluice:f:60000:per-user:=ann`: algorithm, period, counter; all but the last part are free of colons, so the keys are unambiguous. The
 * key of a `window` is used as it is, as in envoyproxy/ratelimit.
 */
export function counterKey(prefix: string, { counter, algorithm }: Counted, perMs: number, key: string): string {
  if (algorithm === 'window') return key;
  return `${prefix}${LETTER[algorithm]}:${perMs}:${counter.replaceAll('%', '%25').replaceAll(':', '%3A')}:${keyPart(key)}`;
}

/** `sluice:o:f:60000:per-user:="ann":id`: the mark of an idempotency key; of a `window`, in the slot of its counter. */
export function markKey(prefix: string, bucket: Counted, perMs: number, key: string, idempotencyKey: string): string {
  if (bucket.algorithm === 'window') return `sluice:once:${withHashTag(key)}:${ownerName(idempotencyKey)}`;
  return counterKey(`${prefix}o:`, bucket, perMs, `${JSON.stringify(key)}:${idempotencyKey}`);
}

/** `sluice:h:f:60000:per-user:=ann`: the hash of the holders of the counter's units; of a `window`, in the slot of its counter. */
export function holdersKey(prefix: string, bucket: Counted, perMs: number, key: string): string {
  if (bucket.algorithm === 'window') return `${prefix}sluice:holders:${withHashTag(key)}`;
  return counterKey(`${prefix}h:`, bucket, perMs, key);
}

/** The owner of an entry of a log: short, free of the log's separators, never a lone `-`, and collision-resistant. */
export const ownerName = (idempotencyKey: string): string =>
  createHash('sha256').update(keyPart(idempotencyKey)).digest('base64url').slice(0, 22);

/**
 * The owner of a lease: its idempotency key after `=`, which operators can read; if it is long or has a separator of the log, {@link
 * ownerName}.
 */
export const leaseOwner = (idempotencyKey: string): string =>
  PLAIN.test(idempotencyKey) ? `=${idempotencyKey}` : ownerName(idempotencyKey);
/** Printable ASCII but blank, `,` and `:`. */
const PLAIN = /^[!-+\--9;-~]{1,64}$/;

/** The idempotency key of a lease by its owner; `undefined` if it has none, or one that is not stored as text. */
export const leaseIdOf = (owner: string): string | undefined => (owner.startsWith('=') ? owner.slice(1) : undefined);

/** The first character tells the forms apart. Half a surrogate pair would become U+FFFD in UTF-8 and collide; JSON escapes it. */
function keyPart(key: string): string {
  const exact = key.isWellFormed() ? `=${key}` : `~${JSON.stringify(key)}`;
  return exact.length <= MAX_CHARACTERS ? exact : `#${createHash('sha256').update(exact).digest('base64url')}`;
}

/** The hash tag of a key, the same for all its counters: on a cluster they share a slot. */
export const slotTag = (key: string): string => `{${createHash('sha1').update(key).digest('base64url').slice(0, 12)}}`;

/** On a cluster a key that begins with this is in the slot of `key`: by its own hash tag, or else by its whole name. */
const withHashTag = (key: string): string => (/^[^{]*\{[^}]+\}/.test(key) ? key : `{${key}}`);
