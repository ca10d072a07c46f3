/**
 * Takes units of a counter ahead, in chunks, and spends them here: most asks are answered at once, without a round trip.
 * **In**: asks. **Out**: answers, at once where enough is held. **Fails**: as the store does, where units have to be fetched.
 *
 * Units that are held were charged when they were taken, so a window never admits more than its limit: units that outlive it are not spent.
 * With `gcra` and `sliding`, what is spent was charged at most {@link HELD_MS} before, so in any time t no more passes than they let pass in
 * t and HELD_MS. Units that are held here cannot be spent elsewhere: chunks are a small part of what is left, and are given back when idle.
 *
 * `owe` of a `window` spends as `spend` does, each ask for itself: an ask beyond the limit is refused and not charged.
 */
import type { QuotaAsk } from '../adapters/contract.ts';
import type { CounterAnswer } from './counter.ts';
import { type AnyAsk, changeOf, lookOf } from './ask.ts';
import {
  asSpend,
  canSpend,
  type EscrowBucket,
  isCount,
  isForEscrow,
  isHeld,
  isOfWindow,
  isRefused,
  type Lease,
  NEVER,
  newLease,
  returnable,
  windowLeftMs,
} from './lease.ts';
import type { CounterStore } from './store.ts';

/** A chunk is at most this fraction of what is left: 1 / SHARE. */
const SHARE = 4;
/** A chunk that lasted less than this is followed by one twice as large, another by one half as large. */
const FAST_MS = 100;
/** A lease that was not spent from for this long is given back. */
const IDLE_MS = 200;
const HELD_MS = 1000;
/** Pause before a counter that refused is asked again; others may have given back. */
const FULL_MS = 100;
export const LOOK_EVERY_MS = 50;
const LOOKED_AT = 1000;
const MAX_LEASES = 100_000;
/** How long what is told of holders of a counter without windows stays valid. */
const TOLD_FOR_MS = 5000;

export interface EscrowOptions {
  readonly store: Pick<CounterStore, 'charge'>;
  /** Tells operators how many units are held here, for `forMs` at most; nobody waits for it. */
  readonly tell: (ask: AnyAsk, units: number, forMs: number) => void;
  /** Milliseconds of a clock that is never set; where there are `window`s, the time of day. */
  readonly nowMs: () => number;
  /** Units: taken ahead, given back, and lost, since their window ended first or the store could not be told. */
  readonly count: { taken(units: number): void; returned(units: number): void; stranded(units: number): void };
  /** Further counters are charged ask by ask. */
  readonly maxLeases?: number;
}

type Ask = QuotaAsk<EscrowBucket>;
type Answers = readonly CounterAnswer[] | Promise<readonly CounterAnswer[]>;

export class Escrow {
  readonly #store: EscrowOptions['store'];
  readonly #tellOperators: EscrowOptions['tell'];
  readonly #nowMs: () => number;
  readonly #count: EscrowOptions['count'];
  readonly #maxLeases: number;
  readonly #leases = new Set<Lease>();
  readonly #windows = new Map<string, Lease>();
  /** Position of the look at all leases. */
  #round = this.#leases.values();
  /** Calls, and those that were answered without the store. */
  asked = 0;
  local = 0;

  constructor({ store, tell, nowMs, count, maxLeases = MAX_LEASES }: EscrowOptions) {
    this.#store = store;
    this.#tellOperators = tell;
    this.#nowMs = nowMs;
    this.#count = count;
    this.#maxLeases = maxLeases;
  }

  charge(asks: readonly Ask[]): Answers {
    if (asks.length > 1 && asks.every(isCount)) {
      const answers = asks.map((ask) => this.charge([ask]));
      return answers.every((one): one is readonly CounterAnswer[] => !(one instanceof Promise))
        ? answers.flat()
        : Promise.all(answers.map(async (one) => one)).then((each) => each.flat());
    }
    const nowMs = this.#nowMs();
    const leases: Lease[] = [];
    this.asked++;
    for (const ask of asks) {
      const lease = isForEscrow(ask) ? this.#leaseOf(ask, nowMs) : undefined;
      const isUnknown = lease?.takenAtMs === NEVER && changeOf(ask) === 0;
      if (lease === undefined || isUnknown || leases.includes(lease)) return this.#directly(asks);
      leases.push(lease);
    }
    if (canSpend(leases, asks) || leases.some((lease, at) => isRefused(lease, changeOf(asks[at] as Ask), nowMs))) {
      this.local++;
      return this.#answers(leases, asks, nowMs);
    }
    return this.#chargeLater(leases, asks);
  }

  /** Units that are held now. */
  get held(): number {
    let sum = 0;
    for (const { held } of this.#leases) sum += held;
    return sum;
  }

  heldOf(ask: Ask): number {
    const lease = this.#leasesOf(ask.bucket)?.get(ask.key);
    return lease === undefined || lease.spendableUntilMs <= this.#nowMs() ? 0 : lease.held;
  }

  /** Drops units of a counter that was reset. */
  forget({ bucket, key }: Ask): void {
    const lease = this.#leasesOf(bucket)?.get(key);
    if (lease === undefined) return;
    lease.held = 0;
    this.#drop(lease);
  }

  /** Gives back all. */
  async close(): Promise<void> {
    await Promise.all([...this.#leases].map((lease) => this.#giveBack(lease)));
  }

  // ---------------------------------------------------------- spending

  /** Where all can be spent, they are; else those that are held say what is left. */
  #answers(leases: readonly Lease[], asks: readonly Ask[], nowMs: number): readonly CounterAnswer[] {
    const isGranted = canSpend(leases, asks);
    return leases.map((lease, at) => {
      const cost = changeOf(asks[at] as Ask);
      const granted = isGranted || isHeld(lease, cost);
      if (isGranted) {
        lease.held -= cost;
        lease.spentAtMs = nowMs;
      }
      const { limit } = lease.ask;
      const remaining = Math.max(0, Math.floor(lease.left + lease.held));
      if (!granted && isOfWindow(lease.ask) && lease.held > lease.chunk && lease.wanted === 0)
        void this.#giveBack(lease); // others may ask for less
      return {
        granted,
        limit,
        remaining,
        resetMs: Math.max(isGranted ? 0 : 1, lease.resetAtMs - nowMs),
        used: limit - remaining,
      };
    });
  }

  async #chargeLater(leases: readonly Lease[], asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    for (;;) {
      await Promise.all(leases.map((lease, at) => this.#refilled(lease, changeOf(asks[at] as Ask))));
      const nowMs = this.#nowMs();
      for (const lease of leases) if (!isOfWindow(lease.ask)) this.#expire(lease, nowMs);
      if (canSpend(leases, asks) || leases.some((lease, at) => isRefused(lease, changeOf(asks[at] as Ask), nowMs)))
        return this.#answers(leases, asks, nowMs);
    }
  }

  async #refilled(lease: Lease, units: number): Promise<void> {
    if (isHeld(lease, units)) return;
    if (lease.taking !== undefined) {
      await lease.taking.catch(() => undefined); // the ask that began it fails with the reason
      if (isHeld(lease, units) || lease.fullUntilMs > this.#nowMs()) return;
    }
    lease.wanted += units;
    await (lease.taking ??= this.#take(lease));
  }

  /** Asks that escrow is not for go to the store; units that are held here count as left. */
  async #directly(asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    const answers = await this.#store.charge(asks.map((ask) => (isCount(ask) ? asSpend(ask) : ask)));
    return answers.map((answer, at) => {
      const ask = asks[at] as Ask;
      const held = this.heldOf(ask);
      if (held === 0) return answer;
      const remaining = Math.min(answer.limit, answer.remaining + Math.floor(held));
      return answer.used === undefined
        ? { ...answer, remaining }
        : { ...answer, remaining, used: Math.min(answer.used, answer.limit) - held };
    });
  }

  // ---------------------------------------------------------- chunks

  async #take(lease: Lease): Promise<void> {
    await Promise.resolve(); // all that this turn brings is wanted together
    const { ask } = lease;
    const sentAtMs = this.#nowMs();
    const asked = isOfWindow(ask) ? Math.min(lease.wanted, ask.limit + 1) : lease.wanted;
    const wanted = Math.max(0, asked - lease.held);
    lease.wanted = 0;
    const isFirst = lease.takenAtMs === NEVER;
    if (!isFirst)
      lease.chunk = sentAtMs - lease.takenAtMs < FAST_MS ? lease.chunk * 2 : Math.max(1, Math.floor(lease.chunk / 2));
    lease.chunk = Math.max(1, Math.min(lease.chunk, Math.floor((lease.left + lease.held) / SHARE)));
    lease.takenAtMs = sentAtMs;
    const cost = isFirst ? wanted : Math.max(wanted, lease.chunk);
    this.#tell(lease, lease.held + cost - asked, sentAtMs); // goes out with the charge
    try {
      await this.#ask(lease, cost, true, sentAtMs);
      // Less than what is wanted was left: the counter says when the rest will be.
      if (lease.held < wanted && lease.fullUntilMs <= sentAtMs)
        await this.#ask(lease, wanted - lease.held, false, this.#nowMs());
      if (lease.fullUntilMs > sentAtMs) this.#tell(lease, lease.held - asked, this.#nowMs());
    } catch (error) {
      this.#tell(lease, lease.held, this.#nowMs());
      throw error;
    } finally {
      lease.taking = undefined;
    }
  }

  async #ask(lease: Lease, cost: number, partial: boolean, sentAtMs: number): Promise<void> {
    const { ask } = lease;
    const [answer] = await this.#store.charge([
      cost > 0 ? { ...lookOf(ask), kind: 'spend', cost, ...(partial ? { partial } : {}) } : lookOf(ask),
    ]);
    if (answer === undefined) return;
    const { granted, charged = 0, remaining, resetMs, endsAtMs = 0 } = answer as CounterAnswer & { endsAtMs?: number };
    lease.left = remaining;
    lease.resetAtMs = isOfWindow(ask) ? (ask.endsAtMs ?? sentAtMs + resetMs) : sentAtMs + resetMs;
    const isWindow = isOfWindow(ask);
    const isFull = !granted || (isWindow && charged < cost);
    lease.fullUntilMs = isFull ? this.#nowMs() + Math.min(FULL_MS, resetMs) : NEVER;
    if (!granted) return;
    const isFixed = ask.bucket.algorithm === 'fixed';
    if (isFixed && lease.endsAtMs !== endsAtMs) this.#strand(lease);
    if (lease.held === 0) lease.heldSinceMs = sentAtMs;
    lease.spendableUntilMs = isWindow
      ? (ask.endsAtMs ?? Infinity)
      : isFixed
        ? sentAtMs + resetMs
        : lease.heldSinceMs + HELD_MS;
    lease.endsAtMs = endsAtMs;
    lease.held += charged;
    if (charged > 0) this.#count.taken(charged);
  }

  #leasesOf(bucket: EscrowBucket): Map<string, Lease> | undefined {
    return bucket.algorithm === 'window' ? this.#windows : bucket.leases;
  }

  #leaseOf(ask: Ask, nowMs: number): Lease | undefined {
    const { bucket, key, limit, burst, endsAtMs } = ask;
    const leases = this.#leasesOf(bucket);
    if (leases === undefined) return undefined;
    const known = leases.get(key);
    if (known !== undefined) {
      if (isOfWindow(ask)) {
        // its limit may change from call to call, its window is in its key
        known.left += limit - known.ask.limit;
        known.ask = ask;
        return known;
      }
      if (known.ask.limit === limit && known.ask.burst === burst && known.ask.endsAtMs === endsAtMs) {
        this.#expire(known, nowMs);
        return known;
      }
      // its limit has changed, or the calendar's period is over
      void this.#giveBack(known);
      this.#drop(known);
    }
    if (this.#leases.size >= this.#maxLeases) return undefined;
    const lease = newLease(ask, nowMs);
    leases.set(key, lease);
    this.#leases.add(lease);
    return lease;
  }

  /** Units are not spent after their time. */
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

  /** To be called every {@link LOOK_EVERY_MS}: goes on where it stopped, and looks at all leases within a second. */
  giveBackIdle(): void {
    const nowMs = this.#nowMs();
    for (let looked = Math.min(this.#leases.size, Math.max(LOOKED_AT, this.#leases.size >> 4)); looked > 0; looked--) {
      let next = this.#round.next();
      if (next.done === true) next = (this.#round = this.#leases.values()).next();
      const lease = next.value;
      if (lease === undefined) return;
      if (lease.taking !== undefined) continue;
      if (isOfWindow(lease.ask) && windowLeftMs(lease, nowMs) <= 0) {
        this.#strand(lease);
        this.#drop(lease);
        continue;
      }
      this.#expire(lease, nowMs);
      if (nowMs - lease.spentAtMs <= IDLE_MS) continue;
      if (lease.held > 0) void this.#giveBack(lease);
      else if (lease.fullUntilMs <= nowMs) this.#drop(lease);
    }
  }

  #drop(lease: Lease): void {
    this.#tell(lease, 0, this.#nowMs());
    this.#leases.delete(lease);
    const { bucket, key } = lease.ask;
    const leases = this.#leasesOf(bucket);
    if (leases?.get(key) === lease) leases.delete(key);
  }

  /** Where the store cannot be told, nobody spends the units: less is admitted, never more. */
  async #giveBack(lease: Lease): Promise<void> {
    const { ask, held, endsAtMs } = lease;
    const nowMs = this.#nowMs();
    this.#tell(lease, 0, nowMs);
    if (held === 0) return;
    const isWindow = isOfWindow(ask);
    const units = isWindow && windowLeftMs(lease, nowMs) <= 0 ? 0 : returnable(lease, nowMs);
    lease.held = 0;
    lease.chunk = 1;
    lease.spendableUntilMs = Infinity;
    if (units < held) this.#count.stranded(held - units);
    if (units === 0) return;
    lease.left += units; // the next answer of the store corrects it
    try {
      await this.#store.charge([
        {
          ...lookOf(ask),
          kind: 'giveBack',
          cost: units,
          ...(ask.bucket.algorithm === 'gcra' || isWindow ? {} : { endsAtMs }),
        },
      ]);
      this.#count.returned(units);
    } catch {
      this.#count.stranded(units);
    }
  }

  /** Only what is new, and nothing of a window that is over: what was told of it expires. */
  #tell(lease: Lease, units: number, nowMs: number): void {
    const held = Math.max(0, units);
    const isWindow = isOfWindow(lease.ask);
    const forMs = isWindow ? windowLeftMs(lease, nowMs) : TOLD_FOR_MS;
    if (forMs <= 0 || (held === lease.told && (isWindow || held === 0))) return;
    lease.told = held;
    this.#tellOperators(lease.ask, held, forMs);
  }
}
