/**
 * Windows counted in Redis, by the names and commands of envoyproxy/ratelimit: INCRBY and EXPIRE.
 * **In**: asks. **Out**: what the counters are at. **Fails**: with a ServiceError of kind `redis_error`; at the latest after
 * `timeoutMs`, and at once while the connection is down: nobody waits behind a dead one.
 *
 * What is asked in one turn of the event loop goes out in one write.
 */
import { createHash } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import { Cluster, type Redis, ReplyError } from 'ioredis';
import { isOfServer } from '../../counting/redis/error-reply.ts';
import { runScript } from '../../counting/redis/run-script.ts';
import { type ReconnectOptions, Upkeep } from '../../counting/redis/upkeep.ts';
import type { Breaker } from '../../core/handlers/breaker.ts';
import type { OutageLog } from '../../core/handlers/outage-log.ts';
import { ServiceError } from '../call.ts';
import { Guard } from './guard.ts';
import { type Command, type Count, RedisPipe } from './redis-pipe.ts';
import { cappedHits, type CountAsk, type CountStore } from './store.ts';

export interface RedisStoreOptions {
  /** Added at random to each expiry, so that not all go at once (EXPIRATION_JITTER_MAX_SECONDS). */
  readonly jitterMaxS: number;
  /** How long an answer may take. */
  readonly timeoutMs: number;
  /** How long the handshake of a new connection may take. */
  readonly readyWithinMs: number;
  /** Told when Redis stops answering, and when it answers again. */
  readonly outage?: OutageLog | undefined;
}

/** All or none; each key is counted once with all its hits. KEYS: the counters. ARGV: for each hits, limit, expiry in seconds. */
const ADD_IF_ALL_FIT = `
local after, sums, fits = {}, {}, true
for at, key in ipairs(KEYS) do
  local count = tonumber(redis.call('GET', key) or '0')
  sums[key] = (sums[key] or 0) + tonumber(ARGV[at * 3 - 2])
  after[at] = count + tonumber(ARGV[at * 3 - 2])
  if count + sums[key] > tonumber(ARGV[at * 3 - 1]) then fits = false end
end
if fits then
  for at, key in ipairs(KEYS) do
    redis.call('INCRBY', key, ARGV[at * 3 - 2])
    redis.call('EXPIRE', key, ARGV[at * 3])
  end
end
return after
`;

/** KEYS: a counter. ARGV: units. */
const GIVE_BACK = `
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then redis.call('DECRBY', KEYS[1], ARGV[1]) end
`;

const sumOf = (script: string): string => createHash('sha1').update(script).digest('hex');
const ADD_IF_ALL_FIT_SHA1 = sumOf(ADD_IF_ALL_FIT);
const GIVE_BACK_SHA1 = sumOf(GIVE_BACK);

/** A connection that says nothing for so long is given up, and made anew. */
const HUNG_MS = 500;
const AGAIN_MS = 200;
const NOTHING = [] as const;

interface Waiting {
  readonly asks: readonly CountAsk[];
  readonly beside: readonly Command[];
  readonly resolve: (after: number[]) => void;
  readonly reject: (error: ServiceError) => void;
}

export class RedisStore implements CountStore {
  readonly #upkeep: Upkeep;
  readonly #redis: Redis | Cluster;
  readonly #options: RedisStoreOptions;
  #queue: Waiting[] = [];
  /** Of the connection, for the metrics: made, open now, closed. */
  readonly connections = { total: 0, active: 0, closed: 0 };
  /** Writes to Redis that somebody waits for. */
  trips = 0;
  readonly #guard: Guard;
  #hung: NodeJS.Timeout | undefined;
  #pipe: RedisPipe | undefined;
  #isClosed = false;

  /** `connect` throws where the address is none. */
  constructor(connect: (options: ReconnectOptions) => Redis | Cluster, options: RedisStoreOptions) {
    this.#options = options;
    const { timeoutMs, readyWithinMs, outage } = options;
    this.#guard = new Guard({
      timeoutMs,
      outage,
      onLate: () => {
        this.#hung ??= setTimeout(
          () => this.#giveUp(`no answer for ${Math.max(HUNG_MS, timeoutMs)} ms`),
          Math.max(0, HUNG_MS - timeoutMs),
        );
      },
    });
    this.#upkeep = new Upkeep({
      connect,
      readyWithinMs,
      onChange: (isUp, why) => (isUp ? this.#connected() : this.#disconnected(why ?? '')),
    });
    this.#redis = this.#upkeep.redis;
  }

  get isHealthy(): boolean {
    return this.#upkeep.isUp;
  }

  get unhealthyWhy(): string | undefined {
    return this.#upkeep.why === undefined ? undefined : `Redis: ${this.#upkeep.why}`;
  }

  get breaker(): Breaker {
    return this.#guard.breaker;
  }

  add(asks: readonly CountAsk[]): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      if (this.#upkeep.why !== undefined) return reject(redisError(this.#upkeep.why));
      this.#wait({ asks, beside: NOTHING, resolve, reject });
    });
  }

  /** Goes out with what is asked in the same turn, and fails nobody: until it is done, or could not be. */
  beside(commands: readonly Command[]): Promise<void> {
    return new Promise((resolve) => {
      if (!this.isHealthy) return resolve();
      this.#wait({ asks: NOTHING, beside: commands, resolve: () => resolve(), reject: () => resolve() });
    });
  }

  /** Of a hash; none where Redis refuses it (an ACL), which is no failure of Redis. */
  async fieldsOf(key: string): Promise<Readonly<Record<string, string>>> {
    return this.#within(async () =>
      this.#redis.hgetall(key).catch((error: unknown) => {
        const { message } = error as Error;
        if (error instanceof ReplyError && (message.startsWith('NOPERM') || !isOfServer(message))) return {};
        throw error;
      }),
    );
  }

  async look(keys: readonly string[]): Promise<readonly number[]> {
    return this.#within(async () =>
      Promise.all(keys.map(async (key) => this.#redis.get(key).then((count) => whole(count ?? 0)))),
    );
  }

  async addIfAllFit(asks: readonly CountAsk[]): Promise<readonly number[]> {
    if (this.#redis instanceof Cluster && new Set(asks.map(({ key }) => key)).size > 1) return this.#addOrRefund(asks);
    const args = asks.flatMap(({ hits, limit, keptS }) => [cappedHits(hits), limit, this.#expiryS(keptS)]);
    return this.#within(async () => {
      const after: unknown = await runScript(
        this.#redis,
        ADD_IF_ALL_FIT,
        ADD_IF_ALL_FIT_SHA1,
        asks.map(({ key }) => key),
        args,
      );
      if (!Array.isArray(after) || after.length !== asks.length)
        throw new Error(`the reply to a script is none of it: ${asks.length} integers were expected`);
      return after.map(whole);
    });
  }

  /** Of a cluster no step sees two slots: all are charged, and given back where one is over. Until then others see less than there is. */
  async #addOrRefund(asks: readonly CountAsk[]): Promise<readonly number[]> {
    const after = await this.add(asks);
    if (asks.every(({ limit }, at) => (after[at] ?? 0) <= limit)) return after;
    await Promise.all(asks.filter(({ hits }) => hits > 0).map(async ({ key, hits }) => this.giveBack(key, hits)));
    return after;
  }

  async giveBack(key: string, units: number): Promise<void> {
    await this.#within(async () => runScript(this.#redis, GIVE_BACK, GIVE_BACK_SHA1, [key], [units]));
  }

  async reset(keys: readonly string[]): Promise<void> {
    await this.#within(async () => Promise.all(keys.map(async (key) => this.#redis.del(key))));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#hung);
    this.#pipe?.close();
    this.#upkeep.close();
  }

  #wait(waiting: Waiting): void {
    if (this.#queue.push(waiting) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const waiting = this.#queue;
    this.#queue = [];
    const asked = waiting.flatMap(({ asks }) => asks);
    if (asked.length > 0) this.trips++;
    this.#within(async () =>
      ofServerThrown(
        await this.#counted(
          asked,
          waiting.flatMap(({ beside }) => beside),
        ),
      ),
    ).then(
      (counts) => {
        let at = 0;
        for (const { asks, resolve, reject } of waiting) {
          const own = counts.slice(at, (at += asks.length));
          const failed = own.findIndex((count) => count instanceof Error);
          if (failed < 0) resolve(own as number[]);
          else {
            const [{ key, hits }, error] = [asks[failed] as CountAsk, own[failed] as Error];
            reject(
              new ServiceError(
                'redis_error',
                `command ["INCRBY" "${key}" "${hits}"] in pipeline returned error: ${error.message}`,
                { cause: error },
              ),
            );
          }
        }
      },
      (error: ServiceError) => {
        for (const { reject } of waiting) reject(error);
      },
    );
  }

  /** One by one: a command that Redis refuses fails its own ask. */
  async #counted(asks: readonly CountAsk[], beside: readonly Command[]): Promise<readonly Count[]> {
    if (this.#redis instanceof Cluster) {
      const cluster = this.#redis; // which gathers what goes to one node by itself
      const said = Promise.allSettled(beside.map(async ([name, ...words]) => cluster.call(name, ...words)));
      if (asks.length === 0) await said;
      return Promise.all(
        asks.map(async ({ key, hits, keptS }) =>
          Promise.all([cluster.incrby(key, cappedHits(hits)), cluster.expire(key, this.#expiryS(keptS))]).then(
            ([count]) => whole(count),
            (error: Error) => error,
          ),
        ),
      );
    }
    if (this.#pipe?.isReady === true) return this.#pipe.count(asks, (keptS) => this.#expiryS(keptS), beside);
    const pipeline = this.#redis.pipeline();
    for (const { key, hits, keptS } of asks) pipeline.incrby(key, cappedHits(hits)).expire(key, this.#expiryS(keptS));
    for (const [name, ...words] of beside) pipeline.call(name, ...words);
    const results = (await pipeline.exec()) ?? [];
    return asks.map((_, at) => {
      const [error, count] = results[at * 2] ?? [new Error('no answer'), undefined];
      return error ?? whole(count);
    });
  }

  #expiryS(keptS: number): number {
    const { jitterMaxS } = this.#options;
    return jitterMaxS > 0 ? keptS + Math.floor(Math.random() * jitterMaxS) : keptS;
  }

  async #within<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#upkeep.why !== undefined) throw redisError(this.#upkeep.why);
    return this.#guard.ask(() => {
      const answer = ask();
      answer.then(
        () => {
          this.#upkeep.answered();
          this.#answered();
        },
        (error: unknown) => {
          if (error instanceof Error) this.#upkeep.refused(error.message);
        },
      ); // also of one that comes late
      return answer;
    });
  }

  #answered(): void {
    clearTimeout(this.#hung);
    this.#hung = undefined;
  }

  /** What waits on a connection that hangs fails now, and would be counted late if it went on. A cluster sees to its own. */
  #giveUp(why: string): void {
    this.#hung = undefined;
    if (!(this.#redis instanceof Cluster)) this.#upkeep.giveUp(why);
  }

  #connected(): void {
    this.#openPipe();
    this.connections.total++;
    this.connections.active = 1;
    this.#guard.connected();
  }

  /** The pipe goes with the connection: it leads to the same server. */
  #disconnected(why: string): void {
    if (this.connections.active === 1) this.connections.closed++;
    this.connections.active = 0;
    this.#pipe?.close();
    this.#guard.disconnected(why);
  }

  /** To the server that ioredis has found. Until it stands, and where it goes, ioredis counts. A cluster has many servers: it has none. */
  #openPipe(): void {
    if (this.#redis instanceof Cluster) return;
    this.#pipe?.close();
    const { options, stream } = this.#redis;
    const { username, password, tls } = options;
    const { remoteAddress, remotePort } = stream as Socket;
    const pipe: RedisPipe = new RedisPipe(
      {
        ...(remoteAddress === undefined || remotePort === undefined
          ? { path: options.path ?? '' }
          : { host: remoteAddress, port: remotePort }),
        ...(tls === undefined
          ? {}
          : {
              tls: {
                ...(remoteAddress === undefined || options.host === undefined
                  ? {}
                  : { servername: isIP(options.host) === 0 ? options.host : '' }),
                ...tls,
              },
            }),
        ...(typeof password !== 'string' ? {} : { password, ...(typeof username === 'string' ? { username } : {}) }),
      },
      () => {},
      () => {
        if (this.#pipe !== pipe || this.#isClosed) return;
        this.#pipe = undefined;
        setTimeout(() => {
          if (this.isHealthy && this.#pipe === undefined && !this.#isClosed) this.#openPipe();
        }, AGAIN_MS).unref();
      },
    );
    this.#pipe = pipe;
  }
}

/** What a counter is at. Throws for what is no number: it is no reply of Redis, or no counter. */
function whole(reply: unknown): number {
  const count = typeof reply === 'number' || (typeof reply === 'string' && reply !== '') ? Number(reply) : Number.NaN;
  if (!Number.isInteger(count)) throw new Error('Redis answers with what is no count');
  return count;
}

const redisError = (why: string): ServiceError => new ServiceError('redis_error', `Redis: ${why}`);

/** What the server refuses to one it refuses to all. */
function ofServerThrown(counts: readonly Count[]): readonly Count[] {
  for (const count of counts) if (count instanceof Error && isOfServer(count.message)) throw count;
  return counts;
}
