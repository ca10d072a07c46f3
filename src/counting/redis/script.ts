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

/** Ways to another node of a cluster, or to another server behind a proxy, that a call takes before it sends the script itself. */
const MAX_WAITS = 3;

/**
 * The first call over a connection sends the script, others its SHA-1, in the same trip: a call that has to be sent again would be silent
 * for two trips, which a deadline takes for an outage. By EVAL, since proxies do not know SCRIPT.
 */
export class ScriptRunner {
  /** The connection that has carried the script. A cluster has many, and sends it where a node does not know it. */
  #sentOver: unknown;
  /** Redis lost the script (a restart of a node, SCRIPT FLUSH), and one call sends it for all. */
  #loading: Promise<unknown> | undefined;

  /** Rejects as ioredis does. */
  run(redis: Redis | Cluster, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const { stream } = redis as Partial<Redis>;
    if (stream === undefined || stream === this.#sentOver) return this.#bySha(redis, keys, args);
    this.#sentOver = stream;
    return redis.eval(SCRIPT, keys.length, ...keys, ...args);
  }

  async #bySha(redis: Redis | Cluster, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    for (let waits = 0; ; waits++) {
      try {
        return await redis.evalsha(SCRIPT_SHA1, keys.length, ...keys, ...args);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      }
      if (this.#loading === undefined || waits === MAX_WAITS) break;
      await this.#loading.catch(() => undefined); // the call that sends it fails with the reason
    }
    const loading = redis.eval(SCRIPT, keys.length, ...keys, ...args);
    this.#loading = loading;
    try {
      return await loading;
    } finally {
      if (this.#loading === loading) this.#loading = undefined;
    }
  }
}
