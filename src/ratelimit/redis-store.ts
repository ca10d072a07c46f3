/**
 * Windows counted in Redis, by the names and commands of envoyproxy/ratelimit: INCRBY and EXPIRE.
 * **In**: asks. **Out**: what the counters are at. **Fails**: with a ServiceError of kind `redis_error`; at the latest after
 * `timeoutMs`, and at once while the connection is down: nobody waits behind a dead one.
 *
 * What is asked in one turn of the event loop goes out in one write.
 */
import type { Cluster, Redis } from 'ioredis';
import { ServiceError } from './call.ts';
import type { CountAsk, CountStore } from './store.ts';

export interface RedisStoreOptions {
  /** Added at random to each expiry, so that not all go at once (EXPIRATION_JITTER_MAX_SECONDS). */
  readonly jitterMaxS: number;
  readonly timeoutMs: number;
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

interface Waiting {
  readonly asks: readonly CountAsk[];
  readonly resolve: (after: number[]) => void;
  readonly reject: (error: ServiceError) => void;
}

export class RedisStore implements CountStore {
  readonly #redis: Redis | Cluster;
  readonly #options: RedisStoreOptions;
  #queue: Waiting[] = [];
  #why = 'not connected yet';
  isHealthy = false;
  /** Of the connection, for the metrics: made, open now, closed. */
  readonly connections = { total: 0, active: 0, closed: 0 };
  /** Writes to Redis. */
  trips = 0;

  constructor(redis: Redis | Cluster, options: RedisStoreOptions) {
    this.#redis = redis;
    this.#options = options;
    redis.on('ready', () => {
      this.isHealthy = true;
      this.connections.total++;
      this.connections.active = 1;
    });
    redis.on('error', (error: Error) => this.#down(error.message));
    redis.on('close', () => {
      if (this.isHealthy) this.connections.closed++;
      this.connections.active = 0;
      this.#down(this.isHealthy ? 'the connection is closed' : this.#why);
    });
  }

  add(asks: readonly CountAsk[]): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      if (!this.isHealthy) return reject(this.#failed(this.#why));
      if (this.#queue.push({ asks, resolve, reject }) === 1) setImmediate(() => this.#flush());
    });
  }

  async look(keys: readonly string[]): Promise<readonly number[]> {
    return (await this.#within(Promise.all(keys.map((key) => this.#redis.get(key))))).map(Number);
  }

  async addIfAllFit(asks: readonly CountAsk[]): Promise<readonly number[]> {
    const args = asks.flatMap(({ hits, limit, windowS }) => [hits, limit, this.#expiryS(windowS)]);
    return await this.#within(this.#redis.eval(ADD_IF_ALL_FIT, asks.length, ...asks.map(({ key }) => key), ...args)) as number[];
  }

  async giveBack(key: string, units: number): Promise<void> {
    await this.#within(this.#redis.eval(GIVE_BACK, 1, key, units));
  }

  async reset(keys: readonly string[]): Promise<void> {
    await this.#within(Promise.all(keys.map((key) => this.#redis.del(key))));
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }

  #flush(): void {
    const waiting = this.#queue;
    this.#queue = [];
    const pipeline = this.#redis.pipeline();
    for (const { asks } of waiting) {
      for (const { key, hits, windowS } of asks) {
        pipeline.incrby(key, hits);
        pipeline.expire(key, this.#expiryS(windowS));
      }
    }
    this.trips++;
    this.#within(pipeline.exec()).then((results) => {
      let at = 0;
      for (const { asks, resolve, reject } of waiting) {
        const after: number[] = [];
        let failed: Error | undefined;
        for (const { key, hits } of asks) {
          const [error, value] = results?.[at] ?? [new Error('no answer'), undefined];
          at += 2;
          if (error !== null) failed ??= new Error(`command ["INCRBY" "${key}" "${hits}"] in pipeline returned error: ${error.message}`, { cause: error });
          after.push(Number(value));
        }
        if (failed === undefined) resolve(after);
        else reject(new ServiceError('redis_error', failed.message, { cause: failed }));
      }
    }, (error: ServiceError) => {
      for (const { reject } of waiting) reject(error);
    });
  }

  #expiryS(windowS: number): number {
    const { jitterMaxS } = this.#options;
    return jitterMaxS > 0 ? windowS + Math.floor(Math.random() * jitterMaxS) : windowS;
  }

  #within<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.isHealthy) return reject(this.#failed(this.#why));
      const timer = setTimeout(() => reject(this.#failed(`no answer for ${this.#options.timeoutMs} ms`)), this.#options.timeoutMs);
      answer.then(resolve, (error: unknown) => reject(this.#failed(error instanceof Error ? error.message : String(error), error))).finally(() => clearTimeout(timer)).catch(() => undefined);
    });
  }

  #failed(why: string, cause?: unknown): ServiceError {
    return new ServiceError('redis_error', `Redis: ${why}`, { cause });
  }

  #down(why: string): void {
    this.isHealthy = false;
    this.#why = why;
  }
}
