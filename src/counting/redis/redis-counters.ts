/**
 * Counters in Redis: exact over all replicas that share it.
 * **In**: asks. **Out**: answers. **Fails**: as the connection does.
 *
 * Hits of `window`s are INCRBY and EXPIRE, as envoyproxy/ratelimit counts; those of one turn of the event loop go out in one write. All
 * else is one script, by its SHA, for all asks of a call; on a cluster one for each slot.
 */
import { type LeasePage, type Owe, type QuotaPlace, Rejected, type Spend } from '../../adapters/contract.ts';
import { allOrNone } from '../all-or-none.ts';
import type { EscrowBucket } from '../lease.ts';
import { giveBackOf } from '../ask.ts';
import type { BucketSpec, CounterAnswer, CounterAsk as Ask } from '../store.ts';
import { type Connection, wholeNumber } from './connection.ts';
import { counterKey, holdersKey, leaseIdOf, slotTag } from './counter-key.ts';
import { leasePage, listsLeases } from '../lease-page.ts';
import type { Command, Count, ExpiryS, Increment } from './pipe.ts';
import { answersOf, argumentsOf, keysOf, type RedisAnswer, ScriptRunner } from './script.ts';

export interface RedisCountersOptions {
  readonly connection: Connection;
  /** Prefix of every key, except those of `window`s. */
  readonly prefix: string;
  /** Prefix of the keys of holders of `window`s' units. */
  readonly windowPrefix?: string;
  /** The time of day here. */
  readonly nowMs: () => number;
  /** `redis`: one time for all replicas. */
  readonly clock: 'redis' | 'local';
  /** Added at random to the expiry of `window`s, so that not all keys expire at once. */
  readonly jitterMaxS?: number;
  /** Put around each round trip: a deadline, a breaker. `commands`: how many of them the trip carries. */
  readonly within?: <T>(trip: () => Promise<T>, commands?: number) => Promise<T>;
}

/** What goes out in one write. */
interface Batch {
  readonly increments: Increment[];
  readonly beside: Command[];
  readonly counted: Promise<readonly Count[]>;
}

/** An ask of a `window` that one INCRBY answers. */
type Hit = Owe<BucketSpec> | Spend<BucketSpec>;

export class RedisCounters {
  readonly #options: RedisCountersOptions;
  readonly #within: <T>(trip: () => Promise<T>, commands?: number) => Promise<T>;
  readonly #script = new ScriptRunner();
  /** Filled until the end of this turn of the event loop. */
  #batch: Batch | undefined;
  /** Writes that a call waits for. */
  trips = 0;

  readonly #expiryS: ExpiryS;

  constructor(options: RedisCountersOptions) {
    this.#options = options;
    const { jitterMaxS = 0 } = options;
    this.#expiryS = (perMs) => Math.ceil(perMs / 1000) + (jitterMaxS > 0 ? Math.floor(Math.random() * jitterMaxS) : 0);
    this.#within = options.within ?? (async (trip) => trip());
  }

  bucket({ counter, algorithm, perMs }: BucketSpec): EscrowBucket {
    return { counter, algorithm, perMs, leases: new Map() };
  }

  charge(asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    if (asks.every(isCount) || (asks.length === 1 && asks.every(isPart))) return this.#count(asks);
    if (asks.every(isLook)) return this.#look(asks);
    return this.#within(async () =>
      this.#options.connection.isSharded
        ? allOrNone(
            asks,
            (ask) => this.#placeOf(ask),
            (some) => this.#run(some),
          )
        : this.#run(asks),
    );
  }

  keyOf({ bucket, key, perMs }: Ask): string {
    return counterKey(this.#prefixOf(key), bucket, perMs, key);
  }

  async look(asks: readonly Ask[], leases?: LeasePage): Promise<readonly QuotaPlace[]> {
    return Promise.all(
      asks.map(async (ask) => ({
        counter: this.keyOf(ask),
        ...(listsLeases(ask.bucket.algorithm, leases) ? await this.#leases(ask, leases) : {}),
      })),
    );
  }

  /** By GET: a script that walks the list would hold up Redis, and all who share it. */
  async #leases(ask: Ask, page: LeasePage): Promise<Pick<QuotaPlace, 'leases' | 'leaseCount'>> {
    const { connection, clock, nowMs } = this.#options;
    const [entries, atMs] = await this.#within(async () =>
      Promise.all([
        connection.ask((redis) => redis.get(this.keyOf(ask)), entriesOf),
        // By a script: the time of the server that has the key, where a proxy answers TIME by itself or not at all.
        clock === 'local' ? nowMs() : connection.ask((redis) => redis.eval(TIME, 1, this.keyOf(ask)), timeOf),
      ]),
    );
    return leasePage(entries, page, ask.perMs, atMs, ({ owner }) => leaseIdOf(owner));
  }

  async reset(asks: readonly Ask[]): Promise<void> {
    const { connection } = this.#options;
    await this.#within(async () =>
      Promise.all(asks.map(async (ask) => connection.ask(async (redis) => redis.del(this.keyOf(ask))))),
    );
  }

  // ---------------------------------------------------------- holders

  /** Tells operators how many units `who` holds of a counter, for `forMs` at most; no count reads it, and a failure is ignored. */
  recordHolder(ask: Ask, who: string, units: number, forMs: number): void {
    if (this.#options.connection.why !== undefined) return;
    const key = this.#holdersKeyOf(ask);
    const { beside, counted } = this.#batchOfTurn(); // goes out with what is charged in the same turn
    if (units === 0) beside.push(['HDEL', key, who]);
    else beside.push(['HSET', key, who, String(units)], ['EXPIRE', key, String(Math.ceil(forMs / 1000))]);
    counted.catch(() => undefined);
  }

  /** As they last reported; none if Redis refuses the hash (an ACL). */
  async holdersOf(ask: Ask): Promise<readonly (readonly [who: string, units: number])[]> {
    const { connection } = this.#options;
    const fields = await this.#within(async () =>
      connection
        .ask(async (redis) => redis.hgetall(this.#holdersKeyOf(ask)))
        .catch((error: unknown) => {
          if (error instanceof Rejected || /\bNOPERM\b/.test((error as Error).message)) return {};
          throw error;
        }),
    );
    return Object.entries(fields).map(([who, units]) => [who, Number(units)] as const);
  }

  #holdersKeyOf({ bucket, key, perMs }: Ask): string {
    const prefix = bucket.algorithm === 'window' ? (this.#options.windowPrefix ?? '') : this.#prefixOf(key);
    return holdersKey(prefix, bucket, perMs, key);
  }

  /** A script runs on one server. On a cluster the counters of one key share a slot; a proxy routes by the name of a counter. */
  #placeOf(ask: Ask): string {
    return this.#options.connection.isCluster ? ask.key : this.keyOf(ask);
  }

  #prefixOf(key: string): string {
    const { connection, prefix } = this.#options;
    return connection.isCluster ? `${prefix}${slotTag(key)}` : prefix;
  }

  // ---------------------------------------------------------- trips

  #run(asks: readonly Ask[]): Promise<readonly RedisAnswer[]> {
    const { connection, clock, nowMs } = this.#options;
    const args = argumentsOf(asks, clock === 'local' ? nowMs() : undefined, (perMs) => this.#expiryS(perMs) * 1000);
    return connection.ask(
      (redis) => {
        const keys = keysOf(asks, (key) => this.#prefixOf(key));
        return this.#script.run(redis, keys, args);
      },
      (reply) => answersOf(asks, reply),
    );
  }

  /** By GET, which needs no more rights than counting does. */
  async #look(asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    const { connection } = this.#options;
    const counts = await this.#within(async () =>
      Promise.all(asks.map(async ({ key }) => connection.ask((redis) => redis.get(key), wholeNumber))),
    );
    const nowMs = this.#options.nowMs();
    return asks.map((ask, at) => {
      const used = counts[at] as number;
      return answerOf(ask, used <= ask.limit, used, 0, nowMs);
    });
  }

  #count(asks: readonly Hit[]): Promise<readonly CounterAnswer[]> {
    const { increments, counted } = this.#batchOfTurn();
    const from = increments.length;
    for (const ask of asks) increments.push(ask);
    return counted.then((counts) => this.#answers(asks, counts, from));
  }

  /** `from`: where the counts of these asks begin. */
  #answers(asks: readonly Hit[], counts: readonly Count[], from: number): readonly CounterAnswer[] {
    const nowMs = this.#options.nowMs();
    const answers: CounterAnswer[] = [];
    for (let at = 0; at < asks.length; at++) {
      const ask = asks[at] as Hit;
      const count = counts[from + at] as Count;
      if (typeof count !== 'number') throw refused(ask, count);
      answers.push(ask.kind === 'owe' ? answerOf(ask, true, count, ask.cost, nowMs) : this.#partOf(ask, count, nowMs));
    }
    return answers;
  }

  /** All of a partial spend was counted; what is beyond the limit is given back, and nobody waits for that. */
  #partOf(ask: Hit, used: number, nowMs: number): CounterAnswer {
    const { cost, limit } = ask;
    const charged = Math.max(0, Math.min(cost, limit - (used - cost)));
    if (charged < cost) this.charge([giveBackOf(ask, cost - charged)]).catch(() => undefined); // less is admitted, never more
    return answerOf(ask, charged > 0, Math.min(used, limit), charged, nowMs);
  }

  #batchOfTurn(): Batch {
    if (this.#batch !== undefined) return this.#batch;
    const increments: Increment[] = [];
    const beside: Command[] = [];
    const counted = new Promise<readonly Count[]>((resolve, reject) => {
      setImmediate(() => {
        this.#batch = undefined;
        if (increments.length > 0) this.trips++;
        const trip = (): Promise<readonly Count[]> => this.#options.connection.count(increments, this.#expiryS, beside);
        this.#within(trip, increments.length).then(resolve, reject);
      });
    });
    const batch = { increments, beside, counted };
    // Each call waits for its own servers only: one that hangs fails no others.
    if (!this.#options.connection.isSharded) this.#batch = batch;
    return batch;
  }
}

/** Of a count, without the window's end. */
const answerOf = (
  { limit, endsAtMs = 0 }: Ask,
  granted: boolean,
  used: number,
  charged: number,
  nowMs: number,
): CounterAnswer => ({
  granted,
  limit,
  remaining: Math.max(0, limit - used),
  resetMs: Math.max(0, endsAtMs - nowMs),
  charged,
  used,
});

/** Of the value of a list: LAST UNTIL:COST:OWNER,... */
const entriesOf = (value: string | null): { untilMs: number; cost: number; owner: string }[] =>
  (value?.split(' ')[1] ?? '').split(',').map((entry) => {
    const [untilMs, cost, owner = ''] = entry.split(':');
    return { untilMs: Number(untilMs), cost: Number(cost), owner };
  });

const TIME = "return redis.call('TIME')";
/** Of its reply: seconds and microseconds. */
function timeOf(reply: unknown): number {
  const [seconds, microseconds] = (Array.isArray(reply) ? reply : []).map(Number);
  if (!Number.isInteger(seconds) || !Number.isInteger(microseconds)) throw new Error('unexpected reply to TIME');
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

const isOnce = ({ bucket, idempotencyKey }: Ask): boolean =>
  bucket.algorithm === 'window' && idempotencyKey === undefined;
const isCount = (ask: Ask): ask is Owe<BucketSpec> => ask.kind === 'owe' && isOnce(ask);
const isPart = (ask: Ask): ask is Spend<BucketSpec> => ask.kind === 'spend' && ask.partial === true && isOnce(ask);
const isLook = ({ kind, bucket }: Ask): boolean => kind === 'look' && bucket.algorithm === 'window';

/** In the words of envoyproxy/ratelimit. */
const refused = ({ key, cost }: Hit, { message }: Error): Rejected =>
  new Rejected(`command ["INCRBY" "${key}" "${cost}"] in pipeline returned error: ${message}`);
