/** A connection to Redis that never makes anybody wait for a dead one, and comes back by itself. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Cluster, Redis } from 'ioredis';
import { Unavailable } from 'sluice/plugin';
import type { RedisAddress } from './config.ts';

export interface Connection {
  /** Fails as Unavailable, at the latest after `timeoutMs`. */
  ask<T>(send: (redis: Redis | Cluster) => Promise<T>): Promise<T>;
  /** Settles when it stands, or with the first failure; does not throw. */
  firstTry(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface ConnectionOptions {
  readonly redis: RedisAddress;
  readonly timeoutMs: number;
  readonly onReady: (isReady: boolean, why?: string) => void;
}

const LONGEST_PAUSE_MS = 1000;
/** The client has ended for good, by itself: it is started again. */
const AGAIN_MS = 200;
/** What ioredis says when `commandTimeout` is over. */
const TIMED_OUT = 'Command timed out';

export function openConnection({ redis: { shown, cluster, ...options }, timeoutMs, onReady }: ConnectionOptions): Connection {
  const pause = (times: number): number => Math.min(25 * 2 ** Math.min(times, 10), LONGEST_PAUSE_MS) * (0.75 + Math.random() / 2);
  let isUp = false;
  let why = 'not connected yet';
  const each = {
    ...options, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0,
    commandTimeout: timeoutMs, // also for the handshake of a connection that hangs
  };
  const redis = cluster === undefined
    ? new Redis({ ...each, enableOfflineQueue: false, enableAutoPipelining: true, retryStrategy: pause, sentinelRetryStrategy: pause })
    : new Cluster(cluster, {
      redisOptions: each, enableOfflineQueue: false, enableAutoPipelining: true, clusterRetryStrategy: pause, slotsRefreshTimeout: options.connectTimeout,
      dnsLookup: (address, found) => found(null, address), // a certificate names the host
    });
  /** A cluster sees to its connections by itself. */
  const streamOf = (): Socket | undefined => (redis instanceof Redis ? (redis.stream as Socket | undefined) : undefined);
  const down = (reason: string): void => {
    isUp = false;
    why = reason;
    onReady(false, `Redis at ${shown}: ${reason}`);
  };
  down(why);
  redis.on('ready', () => {
    isUp = true;
    onReady(true);
  });
  redis.on('error', (error: Error) => down(error.message));
  redis.on('close', () => down(isUp ? 'the connection is closed' : why));
  let isClosed = false;
  let again: NodeJS.Timeout | undefined;
  redis.on('end', () => { if (!isClosed) again = setTimeout(() => { redis.connect().catch(() => undefined); }, AGAIN_MS); });

  const unavailable = (reason: string, cause?: unknown): Unavailable => new Unavailable(`Redis at ${shown}: ${reason}`, 0, { cause });

  return {
    async ask(send) {
      if (!isUp) throw unavailable(why);
      const stream = streamOf();
      try {
        return await send(redis);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (reason === TIMED_OUT && isUp && stream !== undefined && stream === streamOf()) {
          down(`no answer for ${timeoutMs} ms`);
          stream.destroy(); // all that wait fail now, none waits behind them, and it connects anew
        }
        throw unavailable(isUp ? reason : why, error);
      }
    },
    async firstTry(signal) {
      if (!isUp) await Promise.race(['ready', 'close'].map((event) => once(redis, event, { signal }))).catch(() => undefined);
    },
    close() {
      isClosed = true;
      clearTimeout(again);
      redis.disconnect();
      streamOf()?.destroy();
    },
  };
}

/** By its sum where Redis knows it. */
export async function runScript(redis: Redis | Cluster, script: string, sha1: string, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
  return redis.evalsha(sha1, keys.length, ...keys, ...args).catch((error: unknown) => {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(script, keys.length, ...keys, ...args); // forgotten (restart, SCRIPT FLUSH): this teaches it again
  });
}
