/**
 * The connection to Redis: one server, one behind sentinels, or a cluster. It never makes a call wait for a dead server, and reconnects by
 * itself.
 * **In**: an address. **Out**: replies. **Fails**: as Unavailable, at the latest when no command was answered for `timeoutMs`; as Rejected
 * where Redis refuses this key or script alone.
 */
import { once } from 'node:events';
import { Cluster, Redis, ReplyError } from 'ioredis';
import { Rejected, Unavailable } from '../../adapters/contract.ts';
import { MAX_HITS } from '../algorithms.ts';
import type { RedisAddress } from './config.ts';
import { isOfServer } from './error-reply.ts';
import { corkForTurn, InFlight } from './in-flight.ts';
import { KeptPipe } from './kept-pipe.ts';
import { type Command, type Count, type ExpiryS, type Increment, placeOf } from './pipe.ts';
import { reasonOf } from './reason.ts';
import { Upkeep } from './upkeep.ts';

export interface Connection {
  /** `read` throws if the reply does not match the command; the server is then not Redis, and the call fails with Unavailable. */
  ask<T, R = T>(send: (redis: Redis | Cluster) => Promise<T>, read?: (reply: T) => R): Promise<R>;
  /** INCRBY and EXPIRE of each, and commands without awaited replies, in one write. A refused increment is an Error in its place. */
  count(increments: readonly Increment[], expiryS: ExpiryS, beside: readonly Command[]): Promise<readonly Count[]>;
  /** Why it cannot be asked; `undefined` while it can. Holds no secret. */
  readonly why: string | undefined;
  /** Keys have slots, which their hash tags decide. */
  readonly isCluster: boolean;
  /** Keys may be on several servers: of a cluster, or behind a proxy. */
  readonly isSharded: boolean;
  /** Connections: made, open now, closed. */
  readonly connections: { readonly total: number; readonly active: number; readonly closed: number };
  /** Settles when it is connected, or with the first failure; does not throw. */
  firstTry(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface ConnectionOptions {
  readonly redis: RedisAddress;
  readonly timeoutMs: number;
  readonly onReady: (isReady: boolean, why?: string) => void;
  /** Counts go over a pipe of their own, not through ioredis; not to a cluster, which has many servers. */
  readonly hasPipe?: boolean;
  /** The pipe is refused, though the connection is open: counts go over that one. `undefined`: it is open again. */
  readonly onPipe?: (why: string | undefined) => void;
}

/** A hung node is found when the others have taken over its slots. */
const SLOTS_REFRESH_MS = 5000;
/**
 * On a cluster each command has a timer. In a burst timers run before sockets are read, and replies that have arrived would count as an
 * outage; so this ends only what hangs. How long a call may wait is up to its handler's deadline.
 */
const CLUSTER_COMMAND_MS = 1000;

export function openConnection({
  redis: { shown = '', cluster, ...options },
  timeoutMs,
  onReady,
  hasPipe = false,
  onPipe = () => {},
}: ConnectionOptions): Connection {
  const label = shown === '' ? 'Redis' : `Redis at ${shown}`;
  const connections = { total: 0, active: 0, closed: 0 };
  /** RESP 2: proxies do not know HELLO. */
  const each = { ...options, protocol: 2 as const, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 };
  let isClosed = false;
  const pipe = hasPipe && cluster === undefined ? new KeptPipe(onPipe) : undefined;
  const firstTry = Promise.withResolvers<void>();
  const greets = cluster === undefined && options.sentinels === undefined;
  const upkeep = new Upkeep({
    greets,
    readyWithinMs: options.connectTimeout + timeoutMs,
    onChange(isUp, why) {
      firstTry.resolve();
      if (isUp) {
        connections.total++;
        connections.active = 1;
        if (!isClosed) pipe?.open(placeOf(redis as Redis));
        onReady(true);
      } else {
        connections.closed += connections.active;
        connections.active = 0;
        pipe?.close();
        onReady(false, `${label}: ${why}`);
      }
    },
    connect: ({ retryStrategy, ...reconnect }) =>
      cluster === undefined
        ? new Redis({
            ...each,
            ...reconnect,
            enableOfflineQueue: false,
            enableReadyCheck: !greets,
            disableClientInfo: greets,
            retryStrategy,
            sentinelRetryStrategy: retryStrategy,
            sentinelCommandTimeout: options.connectTimeout,
            ...(options.tls === undefined ? {} : { sentinelTLS: options.tls, enableTLSForSentinelMode: true }),
            failoverDetector: options.sentinels !== undefined,
          })
        : new Cluster([...cluster], {
            redisOptions: { ...each, ...reconnect, commandTimeout: Math.max(timeoutMs, CLUSTER_COMMAND_MS) },
            enableOfflineQueue: false,
            clusterRetryStrategy: retryStrategy,
            slotsRefreshTimeout: options.connectTimeout,
            slotsRefreshInterval: SLOTS_REFRESH_MS,
            dnsLookup: (address, found) => found(null, address), // a certificate names the host
          }),
  });
  const { redis } = upkeep;
  onReady(false, `${label}: ${upkeep.why}`);

  const unavailable = (reason: string, cause?: unknown): Unavailable =>
    new Unavailable(`${label}: ${reason}`, 0, { cause });

  // A cluster closes each of its connections by itself.
  const inFlight = new InFlight(timeoutMs, () => {
    if (cluster === undefined && upkeep.isUp) upkeep.giveUp(`no answer for ${timeoutMs} ms`);
  });

  function failed(error: unknown): Unavailable | Rejected {
    const reason = reasonOf(error);
    if (error instanceof ReplyError) {
      if (!isOfServer(reason)) return new Rejected(`${label}: ${reason}`, undefined, { cause: error });
      upkeep.refused(reason);
    }
    return unavailable(upkeep.why ?? reason, error);
  }

  async function send<T>(command: () => Promise<T>): Promise<T> {
    if (upkeep.why !== undefined) throw unavailable(upkeep.why);
    inFlight.sent();
    let reply: T;
    try {
      reply = await command();
    } catch (error) {
      inFlight.answered();
      throw failed(error);
    }
    inFlight.answered();
    upkeep.answered();
    return reply;
  }

  function sendByIoredis<T>(command: () => Promise<T>): Promise<T> {
    corkForTurn(upkeep.streams);
    return command();
  }

  return {
    connections,
    isCluster: cluster !== undefined,
    get isSharded() {
      return upkeep.kind !== 'server';
    },
    get why() {
      return upkeep.why === undefined ? undefined : `${label}: ${upkeep.why}`;
    },
    async ask<T, R = T>(command: (redis: Redis | Cluster) => Promise<T>, read?: (reply: T) => R): Promise<R> {
      const reply = await send(() => sendByIoredis(() => command(redis)));
      if (read === undefined) return reply as unknown as R;
      try {
        return read(reply);
      } catch (error) {
        throw error instanceof Rejected ? error : unavailable(reasonOf(error), error);
      }
    },
    count: (increments, expiryS, beside) =>
      send(async () => {
        const counts =
          pipe?.isReady === true
            ? await pipe.count(increments, expiryS, beside)
            : await sendByIoredis(() => countByCommands(redis, increments, expiryS, beside));
        const failure = counts.find(isOfWholeServer);
        if (failure !== undefined) throw failure as Error; // it fails all alike
        return counts;
      }),
    async firstTry(signal) {
      if (!signal.aborted) await Promise.race([firstTry.promise, once(signal, 'abort')]);
    },
    close() {
      isClosed = true;
      pipe?.close();
      inFlight.close();
      upkeep.close();
    },
  };
}

const isOfWholeServer = (count: Count): boolean =>
  typeof count !== 'number' && (!(count instanceof ReplyError) || isOfServer(count.message));

async function countByCommands(
  redis: Redis | Cluster,
  increments: readonly Increment[],
  expiryS: ExpiryS,
  beside: readonly Command[],
): Promise<readonly Count[]> {
  const sent = Promise.allSettled(beside.map(async ([name, ...words]) => redis.call(name, ...words)));
  if (increments.length === 0) await sent;
  return Promise.all(
    increments.map(async ({ key, cost, perMs }) =>
      Promise.all([
        redis.incrby(key, Math.min(cost, MAX_HITS)),
        redis.expire(key, expiryS(perMs)).catch((error: Error) => {
          if (isOfWholeServer(error)) throw error; // else it says nothing of the count
        }),
      ]).then(
        ([count]) => wholeNumber(count),
        (error: Error) => error,
      ),
    ),
  );
}

/** A count; 0 without a key. Throws if the reply is not a count. */
export function wholeNumber(reply: unknown): number {
  if (reply === null) return 0;
  const count = typeof reply === 'number' || (typeof reply === 'string' && reply !== '') ? Number(reply) : Number.NaN;
  if (!Number.isInteger(count)) throw new Error('Redis answered with no count');
  return count;
}
