/** Runs the script: its arguments, and its reply. */
import type { Cluster, Redis } from 'ioredis';
import type { QuotaAsk } from '../../adapters/contract.ts';
import { type CounterAnswer, keepsEntries } from '../counter.ts';
import { changeOf } from '../ask.ts';
import type { CounterAsk as Ask } from '../store.ts';
import { counterKey, leaseOwner, LETTER, markKey, ownerName } from './counter-key.ts';
import { SCRIPT, SCRIPT_SHA1 } from './lua.ts';

/** KEYS; `prefixOf` a key. */
export const keysOf = (asks: readonly Ask[], prefixOf: (key: string) => string): string[] => [
  ...asks.map(({ bucket, key, perMs }) => counterKey(prefixOf(key), bucket, perMs, key)),
  ...asks.flatMap(({ bucket, key, perMs, idempotencyKey }) =>
    idempotencyKey === undefined || keepsEntries(bucket.algorithm)
      ? []
      : [markKey(prefixOf(key), bucket, perMs, key, idempotencyKey)],
  ),
];

/** ARGV; `keptMs` of a window. */
export function argumentsOf(
  asks: readonly Ask[],
  nowMs: number | undefined,
  keptMs: (perMs: number) => number,
): (string | number)[] {
  const words: (string | number)[] = [nowMs ?? ''];
  let place = asks.length;
  for (const ask of asks) {
    const { kind, bucket, limit, burst, perMs, endsAtMs, idempotencyKey } = ask;
    const isListed = keepsEntries(bucket.algorithm);
    const nameOf = bucket.algorithm === 'concurrency' ? leaseOwner : ownerName;
    const once = idempotencyKey === undefined ? (isListed ? '-' : 0) : isListed ? nameOf(idempotencyKey) : ++place;
    words.push(
      LETTER[bucket.algorithm],
      kind === 'spend' && ask.partial === true ? 'part' : kind,
      Math.abs(changeOf(ask)),
      limit,
      burst,
      bucket.algorithm === 'window' ? keptMs(perMs) : perMs,
      once,
      endsAtMs ?? 0,
    );
  }
  return words;
}

/** With the part of the cost that was charged; 0 for a repeated ask. */
export type RedisAnswer = Required<Omit<CounterAnswer, 'held'>>;

const NUMBERS = 6;

/** Throws if this is not a reply of the script: the server at the address is not Redis, or a proxy answers for it. */
export function answersOf(asks: readonly QuotaAsk[], reply: unknown): RedisAnswer[] {
  if (!Array.isArray(reply) || reply.length !== asks.length * NUMBERS || !reply.every(Number.isSafeInteger))
    throw new Error(`unexpected reply to a script: expected ${asks.length * NUMBERS} integers`);
  const numbers = reply as readonly number[];
  return asks.map((ask, at) => {
    const [granted, remaining = 0, resetMs = 0, charged = 0, endsAtMs = 0, used = 0] = numbers.slice(at * NUMBERS);
    if (granted !== 0 && granted !== 1) throw new Error(`unexpected reply to a script: ${granted} in place of 0 or 1`);
    return {
      granted: granted === 1,
      limit: ask.limit,
      remaining,
      resetMs,
      charged: charged === -1 ? Math.max(0, changeOf(ask)) : charged,
      endsAtMs,
      used,
    };
  });
}

/** By its SHA-1 (EVALSHA), so that the script is sent once. Rejects as ioredis does. */
export async function runScript(
  redis: Redis | Cluster,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  return redis.evalsha(SCRIPT_SHA1, keys.length, ...keys, ...args).catch((error: unknown) => {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(SCRIPT, keys.length, ...keys, ...args); // Redis lost the script (restart, SCRIPT FLUSH); EVAL loads it again
  });
}
