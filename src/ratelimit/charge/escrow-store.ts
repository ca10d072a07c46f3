/**
 * Takes units of a window from a store in chunks and spends them here: most asks are answered at once, without a trip.
 *
 * All chunks come out of the one counter that envoyproxy/ratelimit counts in, and only the part of a chunk that is within the limit is
 * spent, so no window admits more than its limit, whoever else counts in it, as long as the store keeps its data and clocks agree on the
 * window. What is held here cannot be spent elsewhere: it is given back when it lies idle, and chunks shrink towards the limit.
 *
 * A refused ask is not charged. `remaining` is what the store has left, and what is held here.
 */
import type { CountAsk, CountStore } from './store.ts';

export interface EscrowOptions {
  readonly nowMs: () => number;
  /** Leases that are kept, at most; beyond it one that holds nothing is forgotten, or one that does is given back. */
  readonly maxLeases?: number;
  /** Says how much of a counter is held here, for so long at most; nobody waits for it. Never rejects. */
  readonly tell?: ((key: string, units: number, forS: number) => Promise<void>) | undefined;
}

/** Of what is left of a limit, a chunk is at most one part in so many. */
const SHARE = 4;
/** What has not been spent from for so long is given back. */
const IDLE_MS = 200;
/** A window that was full is asked for again after so long: others may have given back. */
const FULL_MS = 100;
const LOOK_EVERY_MS = 50;
const LOOKED_AT = 1000;
const MAX_LEASES = 100_000;
/** Of the keys of leases: clients decide how long a key is. */
const MAX_KEY_CHARACTERS = 16 * 1024 * 1024;
/** A chunk that lasted less than this is followed by one twice as large. */
const FAST_MS = 100;

const NEVER = -1;

interface Lease {
  readonly key: string;
  readonly keptS: number;
  readonly endsAtS: number;
  readonly usedUntilS: number;
  /** The last that was asked with. */
  limit: number;
  /** What the counter was at, as far as we know, up to the limit. */
  counted: number;
  /** Granted and not spent. */
  held: number;
  chunk: number;
  spentAtMs: number;
  takenAtMs: number;
  fullUntilMs: number;
  /** Hits of those that wait for the next chunk. */
  wanted: number;
  taking: Promise<void> | undefined;
  /** Units that are said to be held here. */
  told: number;
}

export class EscrowStore implements CountStore {
  readonly #store: CountStore;
  readonly #nowMs: () => number;
  readonly #maxLeases: number;
  readonly #tellOthers: EscrowOptions['tell'];
  readonly #leases = new Map<string, Lease>();
  #keyCharacters = 0;
  /** Where the look at all leases stands. */
  #round = this.#leases.values();
  readonly #timer: NodeJS.Timeout;
  /** Units given back, and units that were held when their window ended, which nobody could spend. */
  readonly counts = { returned: 0, stranded: 0, local: 0, asked: 0 };

  constructor(store: CountStore, { nowMs, maxLeases = MAX_LEASES, tell }: EscrowOptions) {
    this.#store = store;
    this.#nowMs = nowMs;
    this.#maxLeases = maxLeases;
    this.#tellOthers = tell;
    this.#timer = setInterval(() => this.giveBackIdle(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  get isHealthy(): boolean {
    return this.#store.isHealthy;
  }

  /** Units that are held now. */
  get held(): number {
    let sum = 0;
    for (const { held } of this.#leases.values()) sum += held;
    return sum;
  }

  heldOf(key: string): number {
    return this.#leases.get(key)?.held ?? 0;
  }

  add(asks: readonly CountAsk[]): readonly number[] | Promise<readonly number[]> {
    const [first] = asks;
    if (asks.length === 1 && first !== undefined) {
      const after = this.#spend(first);
      return after instanceof Promise ? after.then((one) => [one]) : [after];
    }
    const after = asks.map((ask) => this.#spend(ask));
    return after.every((one) => typeof one === 'number') ? after : Promise.all(after.map(async (one) => one));
  }

  /** What is held here is not spent yet. */
  async look(keys: readonly string[]): Promise<readonly number[]> {
    const counts = await this.#store.look(keys);
    return counts.map((count, at) => {
      const lease = this.#leases.get(keys[at] ?? '');
      return lease === undefined ? count : Math.min(count, lease.limit) - lease.held;
    });
  }

  addIfAllFit(asks: readonly CountAsk[]): readonly number[] | Promise<readonly number[]> {
    const sums = new Map<string, CountAsk>();
    for (const ask of asks) sums.set(ask.key, { ...ask, hits: ask.hits + (sums.get(ask.key)?.hits ?? 0) });
    const all = [...sums.values()];
    const waits = all.flatMap((ask) => this.#secured(ask) ?? []);
    const commit = (): readonly number[] => {
      const fits = all.every((ask) => this.#leaseOf(ask).held >= ask.hits);
      return asks.map((ask) => {
        const lease = this.#leaseOf(ask);
        const before = lease.counted - lease.held;
        if (fits) this.#take(lease, ask.hits);
        return lease.held >= ask.hits || fits ? before + ask.hits : Math.max(before, lease.limit) + ask.hits;
      });
    };
    return waits.length === 0 ? commit() : Promise.all(waits).then(commit);
  }

  giveBack(key: string, units: number): void | Promise<void> {
    return this.#store.giveBack(key, units);
  }

  /** Of a counter that has been taken away: nobody spends what is held of it. */
  forget(key: string): void {
    const lease = this.#leases.get(key);
    if (lease !== undefined) this.#drop(lease);
  }

  async reset(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.forget(key);
    await this.#store.reset(keys);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const returned = [...this.#leases.values()].map((lease) => this.#giveBack(lease));
    await Promise.all(returned);
    await this.#store.close();
  }

  // ---------------------------------------------------------- spending

  #spend(ask: CountAsk): number | Promise<number> {
    this.counts.asked++;
    const lease = this.#leaseOf(ask);
    if (lease.held >= ask.hits && (ask.hits > 0 || lease.counted > 0)) {
      this.counts.local++;
      this.#take(lease, ask.hits);
      return lease.counted - lease.held;
    }
    if (lease.fullUntilMs > this.#nowMs()) {
      this.counts.local++;
      return over(lease, ask);
    }
    if (ask.hits > ask.limit) return over(lease, ask);
    return this.#spendLater(lease, ask);
  }

  async #spendLater(lease: Lease, ask: CountAsk): Promise<number> {
    for (;;) {
      await this.#refilled(lease, ask.hits);
      if (lease.held >= ask.hits) {
        this.#take(lease, ask.hits);
        return lease.counted - lease.held;
      }
      if (lease.fullUntilMs === 0) continue;
      if (lease.held > lease.chunk && lease.wanted === 0) void this.#giveBack(lease); // others may ask for less
      return over(lease, ask);
    }
  }

  #take(lease: Lease, hits: number): void {
    lease.held -= hits;
    lease.spentAtMs = this.#nowMs();
  }

  /** Until there is enough for the ask, or the window is full; `undefined` where that is so now. */
  #secured(ask: CountAsk): Promise<void> | undefined {
    const lease = this.#leaseOf(ask);
    if (lease.held >= ask.hits || lease.fullUntilMs > this.#nowMs()) return undefined;
    return (async () => {
      do await this.#refilled(lease, ask.hits);
      while (lease.held < ask.hits && lease.fullUntilMs === 0);
    })();
  }

  // ---------------------------------------------------------- chunks

  /** After a chunk that was asked for with this want in mind. */
  async #refilled(lease: Lease, hits: number): Promise<void> {
    if (lease.taking !== undefined) {
      await lease.taking.catch(() => undefined); // whoever asked for that one says why
      if (lease.held >= hits || lease.fullUntilMs > 0) return;
    }
    lease.wanted += hits;
    await (lease.taking ??= this.#takeChunk(lease));
  }

  async #takeChunk(lease: Lease): Promise<void> {
    await Promise.resolve(); // all that this turn brings is wanted together
    const nowMs = this.#nowMs();
    const asked = Math.min(lease.wanted, lease.limit + 1);
    const wanted = Math.max(0, asked - lease.held);
    lease.wanted = 0;
    const left = Math.max(0, lease.limit - lease.counted);
    if (lease.takenAtMs !== NEVER)
      lease.chunk = nowMs - lease.takenAtMs < FAST_MS ? lease.chunk * 2 : Math.max(1, Math.floor(lease.chunk / 2));
    lease.chunk = Math.max(1, Math.min(lease.chunk, Math.floor(left / SHARE)));
    const hits = lease.counted === 0 && lease.takenAtMs === NEVER ? wanted : Math.max(wanted, lease.chunk);
    lease.takenAtMs = nowMs;
    void this.#tell(lease, lease.held + hits - asked); // what will be left, so that it goes out with the charge
    try {
      const [after = 0] = await this.#store.add([{ ...lease, hits }]);
      const usable = Math.max(0, Math.min(hits, lease.limit - (after - hits)));
      lease.held += usable;
      lease.counted = Math.min(after, lease.limit);
      lease.fullUntilMs = usable < hits || (hits === 0 && after >= lease.limit) ? this.#nowMs() + FULL_MS : 0;
      if (usable < hits) {
        void this.#return(lease, hits - usable);
        void this.#tell(lease, lease.held - asked);
      }
    } catch (error) {
      void this.#tell(lease, lease.held);
      throw error;
    } finally {
      lease.taking = undefined;
    }
  }

  #leaseOf({ key, limit, keptS, endsAtS, usedUntilS }: CountAsk): Lease {
    const known = this.#leases.get(key);
    if (known !== undefined) {
      known.limit = limit;
      return known;
    }
    this.#keyCharacters += key.length;
    if (this.#leases.size >= this.#maxLeases) this.#forgetOne();
    for (let at = 0; at < LOOKED_AT && this.#keyCharacters > MAX_KEY_CHARACTERS && this.#leases.size > 0; at++)
      this.#forgetOne();
    const lease: Lease = {
      key,
      keptS,
      endsAtS,
      usedUntilS,
      limit,
      counted: 0,
      held: 0,
      chunk: 1,
      spentAtMs: 0,
      takenAtMs: NEVER,
      fullUntilMs: 0,
      wanted: 0,
      taking: undefined,
      told: 0,
    };
    this.#leases.set(key, lease);
    return lease;
  }

  // ---------------------------------------------------------- giving back

  /** Goes on where it stopped: all are looked at within a second. */
  giveBackIdle(): void {
    const nowMs = this.#nowMs();
    for (let looked = Math.min(this.#leases.size, Math.max(LOOKED_AT, this.#leases.size >> 4)); looked > 0; looked--) {
      const lease = this.#next();
      if (lease === undefined) return;
      if (lease.taking !== undefined) continue;
      if (lease.endsAtS * 1000 <= nowMs) {
        this.counts.stranded += lease.held;
        this.#delete(lease);
      } else if (nowMs - lease.spentAtMs > IDLE_MS) {
        if (lease.held > 0) void this.#giveBack(lease);
        else if (lease.fullUntilMs <= nowMs) this.#drop(lease);
      }
    }
  }

  #forgetOne(): void {
    const lease = this.#next();
    if (lease === undefined || lease.taking !== undefined) return;
    if (lease.held > 0) void this.#giveBack(lease);
    this.#drop(lease);
  }

  #drop(lease: Lease): void {
    void this.#tell(lease, 0);
    this.#delete(lease);
  }

  #delete(lease: Lease): void {
    if (this.#leases.delete(lease.key)) this.#keyCharacters -= lease.key.length;
  }

  #next(): Lease | undefined {
    let next = this.#round.next();
    if (next.done === true) {
      this.#round = this.#leases.values();
      next = this.#round.next();
    }
    return next.value;
  }

  async #giveBack(lease: Lease): Promise<void> {
    const { held } = lease;
    const told = this.#tell(lease, 0);
    if (held === 0) return told;
    lease.held = 0;
    lease.counted = Math.max(0, lease.counted - held);
    lease.chunk = 1;
    this.counts.returned += held;
    await Promise.all([told, this.#return(lease, held)]);
  }

  /** Where it cannot be said, nobody spends it: the window admits less, never more. */
  async #return(lease: Lease, units: number): Promise<void> {
    if (lease.endsAtS * 1000 <= this.#nowMs()) return;
    try {
      await this.#store.giveBack(lease.key, units);
    } catch {
      this.counts.stranded += units;
    }
  }

  // ---------------------------------------------------------- telling

  /** Only what is new, and nothing of a window that is over: what was told of it goes by itself. */
  #tell(lease: Lease, units: number): Promise<void> | undefined {
    const told = Math.max(0, units);
    const forS = Math.ceil(lease.endsAtS - this.#nowMs() / 1000);
    if (told === lease.told || forS <= 0) return undefined;
    lease.told = told;
    return this.#tellOthers?.(lease.key, told, forS);
  }
}

/** What a counter would be at that refuses. */
const over = ({ limit, counted, held }: Lease, { hits }: CountAsk): number => Math.max(limit, counted - held) + hits;
