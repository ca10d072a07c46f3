/** A connection to Redis that never makes anybody wait for a dead one, and comes back by itself. */
import { once } from 'node:events';
import { Cluster, Redis, ReplyError } from 'ioredis';
import { Rejected, Unavailable } from '../../adapters/contract.ts';
import type { RedisAddress } from './config.ts';
import { isOfServer } from './error-reply.ts';
import { InFlight } from './in-flight.ts';
import { reasonOf, Upkeep } from './upkeep.ts';

export interface Connection {
  /**
   * Fails as Unavailable, at the latest when nobody was answered for `timeoutMs`; as Rejected where Redis refuses this key or script alone.
   * `read` throws where the reply is none that was asked for; then the server is taken for one of another kind: Unavailable.
   */
  ask<T, R = T>(send: (redis: Redis | Cluster) => Promise<T>, read?: (reply: T) => R): Promise<R>;
  /** Settles when it stands, or with the first failure; does not throw. */
  firstTry(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface ConnectionOptions {
  readonly redis: RedisAddress;
  readonly timeoutMs: number;
  readonly onReady: (isReady: boolean, why?: string) => void;
}

/** A node that hangs is noticed by the slots that the others have taken over. */
const SLOTS_LOOKED_AT_EVERY_MS = 5000;
/**
 * Of a cluster, where one timer stands for each command: in a burst timers run before sockets are read, and answers that have come would
 * count as an outage. How long a call may wait is up to the gate of its handler; this ends what hangs.
 */
const CLUSTER_COMMAND_MS = 1000;

export function openConnection({
  redis: { shown, cluster, ...options },
  timeoutMs,
  onReady,
}: ConnectionOptions): Connection {
  const each = { ...options, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 };
  const upkeep = new Upkeep({
    readyWithinMs: options.connectTimeout + timeoutMs,
    onChange: (isUp, why) => (isUp ? onReady(true) : onReady(false, `Redis at ${shown}: ${why}`)),
    connect: ({ retryStrategy, ...reconnect }) =>
      cluster === undefined
        ? new Redis({
            ...each,
            ...reconnect,
            enableOfflineQueue: false,
            retryStrategy,
            sentinelRetryStrategy: retryStrategy,
            sentinelCommandTimeout: options.connectTimeout,
          })
        : new Cluster(cluster, {
            redisOptions: { ...each, ...reconnect, commandTimeout: Math.max(timeoutMs, CLUSTER_COMMAND_MS) },
            enableOfflineQueue: false,
            clusterRetryStrategy: retryStrategy,
            slotsRefreshTimeout: options.connectTimeout,
            slotsRefreshInterval: SLOTS_LOOKED_AT_EVERY_MS,
            dnsLookup: (address, found) => found(null, address), // a certificate names the host
          }),
  });
  const { redis } = upkeep;
  onReady(false, `Redis at ${shown}: ${upkeep.why}`);

  const unavailable = (reason: string, cause?: unknown): Unavailable =>
    new Unavailable(`Redis at ${shown}: ${reason}`, 0, { cause });

  // A cluster sees to each of its connections by itself.
  const inFlight = new InFlight(timeoutMs, () => {
    if (cluster === undefined && upkeep.isUp) upkeep.giveUp(`no answer for ${timeoutMs} ms`);
  });

  function failed(error: unknown): Unavailable | Rejected {
    const reason = reasonOf(error);
    if (error instanceof ReplyError) {
      if (!isOfServer(reason)) return new Rejected(`Redis at ${shown}: ${reason}`, undefined, { cause: error });
      upkeep.refused(reason);
    }
    return unavailable(upkeep.why ?? reason, error);
  }

  return {
    async ask<T, R = T>(send: (redis: Redis | Cluster) => Promise<T>, read?: (reply: T) => R): Promise<R> {
      if (upkeep.why !== undefined) throw unavailable(upkeep.why);
      let reply: T;
      try {
        reply = await inFlight.send(upkeep.streams, () => send(redis));
      } catch (error) {
        throw failed(error);
      }
      upkeep.answered();
      if (read === undefined) return reply as unknown as R;
      try {
        return read(reply);
      } catch (error) {
        throw error instanceof Rejected ? error : unavailable(reasonOf(error), error);
      }
    },
    async firstTry(signal) {
      if (!upkeep.isUp)
        await Promise.race(['ready', 'close'].map((event) => once(redis, event, { signal }))).catch(() => undefined);
    },
    close: () => upkeep.close(),
  };
}
