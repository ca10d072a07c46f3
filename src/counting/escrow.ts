/**
 * Takes units of a counter ahead, in chunks, and spends them here: most asks are answered at once, without a trip to Redis.
 * **In**: asks. **Out**: answers, at once where enough is held. **Fails**: as the store does, where units have to be fetched.
 *
 * What is held was charged when it was taken, so a fixed window never admits more than its limit: what is held of it is not spent after it
 * has ended. For the other algorithms what is spent was charged at most {@link HELD_MS} before, so in any time t no more passes than they let
 * pass in t and HELD_MS. What is held here cannot be spent elsewhere: chunks are a small part of what is left, and are given back when idle.
 */
import type { QuotaAnswer, QuotaAsk } from '../adapters/contract.ts';
import type { Bucket } from './redis/bucket.ts';
import type { Told } from './redis/script.ts';

/** Of what is left, a chunk is at most one part in so many. */
const SHARE = 4;
/** A chunk that lasted less than this is followed by one twice as large, another by one half as large. */
const FAST_MS = 100;
/** What has not been spent from for so long is given back. */
const IDLE_MS = 200;
const HELD_MS = 1000;
/** A counter that refused is asked again after so long: others may have given back. */
const FULL_MS = 100;
const LOOKED_AT = 1000;
/** Of a key of which units are held; so a lease takes at most 2 KB. */
const MOST_CHARACTERS = 512;

export interface EscrowStore {
  charge(asks: readonly QuotaAsk<Bucket>[]): Promise<readonly Told[]>;
  /** Says who holds how much, for operators; nobody waits for it. */
  tell(ask: QuotaAsk<Bucket>, units: number): void;
}

export interface EscrowOptions {
  readonly store: EscrowStore;
  /** Ms of a clock that is never set. */
  readonly nowMs: () => number;
  /** Of units: taken ahead, given back, and lost, since their window ended before anybody asked for them. */
  readonly count: { taken(units: number): void; returned(units: number): void; stranded(units: number): void };
  /** Counters of which units are held, at most; others are asked for one by one. */
  readonly maxLeases: number;
}

/** Of one counter, what of it is held here. */
export interface Lease {
  /** What units are asked for with; its cost says nothing. */
  readonly ask: QuotaAsk<Bucket>;
  /** Charged and not spent. */
  held: number;
  /** What the counter had left, and when it said that it is full again. */
  left: number;
  resetAtMs: number;
  /** Of the window in Redis that units are held of. */
  endsAtMs: number;
  /** When the oldest of what is held was taken. */
  heldSinceMs: number;
  spendableUntilMs: number;
  chunk: number;
  takenAtMs: number;
  spentAtMs: number;
  /** Until then it refuses what is not held. */
  fullUntilMs: number;
  /** Of those that wait for the next chunk. */
  wanted: number;
  taking: Promise<void> | undefined;
}

const NEVER = -Infinity;

export class Escrow {
  readonly #store: EscrowStore;
  readonly #nowMs: () => number;
  readonly #count: EscrowOptions['count'];
  readonly #maxLeases: number;
  readonly #leases = new Set<Lease>();
  /** Where the look at all leases stands. */
  #round = this.#leases.values();

  constructor({ store, nowMs, count, maxLeases }: EscrowOptions) {
    this.#store = store;
    this.#nowMs = nowMs;
    this.#count = count;
    this.#maxLeases = maxLeases;
  }

  charge(asks: readonly QuotaAsk<Bucket>[]): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]> {
    const nowMs = this.#nowMs();
    const leases: Lease[] = [];
    for (const ask of asks) {
      const lease = isForEscrow(ask) ? this.#leaseOf(ask, nowMs) : undefined;
      if (lease === undefined || leases.includes(lease)) return this.#directly(asks);
      leases.push(lease);
    }
    return canSpend(leases, asks) ? this.#spend(leases, asks, nowMs) : this.#chargeLater(leases, asks);
  }

  /** Units that are held now. */
  heldOf(ask: QuotaAsk<Bucket>): number {
    const lease = ask.bucket.leases.get(ask.key);
    return lease === undefined || lease.spendableUntilMs <= this.#nowMs() ? 0 : lease.held;
  }

  /** What is held of it is nobody's any more. */
  forget({ bucket, key }: QuotaAsk<Bucket>): void {
    const lease = bucket.leases.get(key);
    if (lease === undefined) return;
    lease.held = 0;
    this.#drop(lease);
  }

  /** Gives back all. */
  async close(): Promise<void> {
    await Promise.all([...this.#leases].map((lease) => this.#giveBack(lease)));
  }

  // ---------------------------------------------------------- spending

  #spend(leases: readonly Lease[], asks: readonly QuotaAsk<Bucket>[], nowMs: number): readonly QuotaAnswer[] {
    return leases.map((lease, at) => {
      lease.held -= asks[at]?.cost ?? 0;
      lease.spentAtMs = nowMs;
      return {
        granted: true,
        limit: lease.ask.limit,
        remaining: leftOf(lease),
        resetMs: Math.max(0, lease.resetAtMs - nowMs),
      };
    });
  }

  async #chargeLater(leases: readonly Lease[], asks: readonly QuotaAsk<Bucket>[]): Promise<readonly QuotaAnswer[]> {
    for (;;) {
      const nowMs = this.#nowMs();
      const lacks = leases.filter((lease, at) => lease.held < (asks[at]?.cost ?? 0));
      if (lacks.length === 0) return this.#spend(leases, asks, nowMs);
      if (lacks.some(({ fullUntilMs }) => fullUntilMs > nowMs)) {
        return leases.map((lease) => ({
          granted: !lacks.includes(lease),
          limit: lease.ask.limit,
          remaining: leftOf(lease),
          resetMs: Math.max(1, lease.resetAtMs - nowMs),
        }));
      }
      await Promise.all(leases.map((lease, at) => this.#refilled(lease, asks[at]?.cost ?? 0)));
      for (const lease of leases) this.#expire(lease, this.#nowMs());
    }
  }

  async #refilled(lease: Lease, units: number): Promise<void> {
    if (lease.held >= units) return;
    if (lease.taking !== undefined) {
      await lease.taking.catch(() => undefined); // whoever asked for that one says why
      if (lease.held >= units || lease.fullUntilMs > this.#nowMs()) return;
    }
    lease.wanted += units;
    await (lease.taking ??= this.#take(lease));
  }

  /** What is not for escrow is asked for one by one, and what is held here counts as left. */
  async #directly(asks: readonly QuotaAsk<Bucket>[]): Promise<readonly QuotaAnswer[]> {
    const answers = await this.#store.charge(asks);
    return answers.map((answer, at) => {
      const held = this.heldOf(asks[at] as QuotaAsk<Bucket>);
      return held === 0
        ? answer
        : { ...answer, remaining: Math.min(answer.limit, answer.remaining + Math.floor(held)) };
    });
  }

  // ---------------------------------------------------------- chunks

  async #take(lease: Lease): Promise<void> {
    await Promise.resolve(); // all that this turn brings is wanted together
    const { ask } = lease;
    const sentAtMs = this.#nowMs();
    const wanted = Math.max(0, lease.wanted - lease.held);
    lease.wanted = 0;
    const isFirst = lease.takenAtMs === NEVER;
    if (!isFirst)
      lease.chunk = sentAtMs - lease.takenAtMs < FAST_MS ? lease.chunk * 2 : Math.max(1, Math.floor(lease.chunk / 2));
    lease.chunk = Math.max(1, Math.min(lease.chunk, Math.floor((lease.left + lease.held) / SHARE)));
    lease.takenAtMs = sentAtMs;
    try {
      await this.#ask(
        lease,
        { ...ask, cost: isFirst ? wanted : Math.max(wanted, lease.chunk), partial: true },
        sentAtMs,
      );
      // A part of what is wanted was there: the counter says when the rest will be.
      if (lease.held < wanted && lease.fullUntilMs <= sentAtMs)
        await this.#ask(lease, { ...ask, cost: wanted - lease.held }, this.#nowMs());
    } finally {
      lease.taking = undefined;
    }
  }

  async #ask(lease: Lease, ask: QuotaAsk<Bucket>, sentAtMs: number): Promise<void> {
    const [told] = await this.#store.charge([ask]);
    if (told === undefined) return;
    const { granted, charged, remaining, resetMs, endsAtMs } = told;
    lease.left = remaining;
    lease.resetAtMs = sentAtMs + resetMs;
    lease.fullUntilMs = granted ? NEVER : this.#nowMs() + Math.min(FULL_MS, resetMs);
    if (!granted) return;
    const isFixed = ask.bucket.algorithm === 'fixed';
    if (isFixed && lease.endsAtMs !== endsAtMs) this.#strand(lease);
    if (lease.held === 0) lease.heldSinceMs = sentAtMs;
    lease.spendableUntilMs = isFixed ? sentAtMs + resetMs : lease.heldSinceMs + HELD_MS;
    lease.endsAtMs = endsAtMs;
    lease.held += charged;
    this.#count.taken(charged);
    if (charged > 1) this.#store.tell(ask, lease.held);
  }

  #leaseOf(ask: QuotaAsk<Bucket>, nowMs: number): Lease | undefined {
    const {
      bucket: { leases },
      key,
      limit,
      burst,
      endsAtMs,
    } = ask;
    const known = leases.get(key);
    if (
      known !== undefined &&
      known.ask.limit === limit &&
      known.ask.burst === burst &&
      known.ask.endsAtMs === endsAtMs
    ) {
      this.#expire(known, nowMs);
      return known;
    }
    if (known !== undefined) {
      // its limit changes, or its calendar's period is over
      void this.#giveBack(known);
      this.#drop(known);
    }
    if (this.#leases.size >= this.#maxLeases) return undefined;
    const lease: Lease = {
      ask,
      held: 0,
      left: limit,
      resetAtMs: nowMs,
      endsAtMs: 0,
      heldSinceMs: nowMs,
      spendableUntilMs: Infinity,
      chunk: 1,
      takenAtMs: NEVER,
      spentAtMs: nowMs,
      fullUntilMs: NEVER,
      wanted: 0,
      taking: undefined,
    };
    leases.set(key, lease);
    this.#leases.add(lease);
    return lease;
  }

  /** What is held is not spent after its time. */
  #expire(lease: Lease, nowMs: number): void {
    if (lease.spendableUntilMs > nowMs) return;
    if (lease.ask.bucket.algorithm !== 'fixed') return void this.#giveBack(lease);
    this.#strand(lease);
    lease.left = lease.ask.limit; // a new window
    lease.spendableUntilMs = Infinity;
  }

  #strand(lease: Lease): void {
    if (lease.held > 0) this.#count.stranded(lease.held);
    lease.held = 0;
  }

  // ---------------------------------------------------------- giving back

  /** To be called twenty times a second: goes on where it stopped, and all are looked at within a second. */
  giveBackIdle(): void {
    const nowMs = this.#nowMs();
    for (let looked = Math.min(this.#leases.size, Math.max(LOOKED_AT, this.#leases.size >> 4)); looked > 0; looked--) {
      let next = this.#round.next();
      if (next.done === true) next = (this.#round = this.#leases.values()).next();
      const lease = next.value;
      if (lease === undefined) return;
      if (lease.taking !== undefined) continue;
      this.#expire(lease, nowMs);
      if (nowMs - lease.spentAtMs <= IDLE_MS) continue;
      if (lease.held > 0) void this.#giveBack(lease);
      else if (lease.fullUntilMs <= nowMs) this.#drop(lease);
    }
  }

  #drop(lease: Lease): void {
    this.#leases.delete(lease);
    const { bucket, key } = lease.ask;
    if (bucket.leases.get(key) === lease) bucket.leases.delete(key);
  }

  /** Where it cannot be said, nobody spends it: less is admitted, never more. */
  async #giveBack(lease: Lease): Promise<void> {
    const { ask, held, endsAtMs } = lease;
    if (held === 0) return;
    const units = returnable(lease, this.#nowMs());
    lease.held = 0;
    lease.chunk = 1;
    lease.spendableUntilMs = Infinity;
    this.#store.tell(ask, 0);
    if (units < held) this.#count.stranded(held - units);
    if (units === 0) return;
    try {
      await this.#store.charge([{ ...ask, cost: -units, ...(ask.bucket.algorithm === 'gcra' ? {} : { endsAtMs }) }]);
      lease.left += units;
      this.#count.returned(units);
    } catch {
      this.#count.stranded(units);
    }
  }
}

/** What is charged after the fact, once, in part, by a long key, or by another period than the rule's is asked for itself, and a look tells the truth. */
const isForEscrow = ({
  bucket: { algorithm, perMs: own },
  key,
  cost,
  owed = false,
  release = false,
  partial = false,
  once,
  perMs,
}: QuotaAsk<Bucket>): boolean =>
  cost > 0 &&
  key.length <= MOST_CHARACTERS &&
  !owed &&
  !release &&
  !partial &&
  once === undefined &&
  perMs === own &&
  (algorithm === 'fixed' || algorithm === 'gcra' || algorithm === 'sliding');

const canSpend = (leases: readonly Lease[], asks: readonly QuotaAsk<Bucket>[]): boolean =>
  leases.every(({ held }, at) => held >= (asks[at]?.cost ?? 0));
const leftOf = ({ left, held }: Lease): number => Math.floor(left + held);

/**
 * A bucket of `gcra` fills while its units are held. What has come since they were taken may have been lost to a full bucket, and is not
 * theirs to give back.
 */
function returnable(
  {
    ask: {
      bucket: { algorithm },
      limit,
      perMs,
    },
    held,
    heldSinceMs,
  }: Lease,
  nowMs: number,
): number {
  return algorithm === 'gcra' ? Math.max(0, Math.floor(held - ((nowMs - heldSinceMs) * limit) / perMs)) : held;
}
