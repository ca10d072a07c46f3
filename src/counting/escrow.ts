/**
 * Takes units of a counter ahead, in chunks, and spends them here: most asks are answered at once, without a round trip.
 * **In**: asks. **Out**: answers, at once where enough is held. **Fails**: as the store does, where units have to be fetched.
 *
 * Units that are held were charged when they were taken, so a window never admits more than its limit: units that outlive it are not spent.
 * With `gcra` and `sliding`, what is spent was charged at most one second before, so in any time t no more passes than they let pass in
 * t and a second. Units that are held here cannot be spent elsewhere: chunks are a small part of what is left, and are given back when idle.
 *
 * `owe` of a `window` spends as `spend` does, each ask for itself: an ask beyond the limit is refused and not charged.
 */
import type { QuotaAsk } from '../adapters/contract.ts';
import type { CounterAnswer } from './counter.ts';
import { type AnyAsk, changeOf, giveBackOf, lookOf, spendOf } from './ask.ts';
import {
  answerOf,
  asSpend,
  decide,
  type EscrowBucket,
  isCount,
  isForEscrow,
  isHeld,
  isOfWindow,
  isRefused,
  type Lease,
  Leases,
  NEVER,
  nextChunk,
  record,
  returnable,
  spendableUntilMs,
  windowLeftMs,
} from './lease.ts';
import type { CounterStore } from './store.ts';

/** A lease that was not spent from for this long is given back. */
const IDLE_MS = 200;
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
  readonly #options: EscrowOptions;
  readonly #leases = new Leases();
  /** Calls, and those that were answered without the store. */
  asked = 0;
  local = 0;

  constructor(options: EscrowOptions) {
    this.#options = options;
  }

  charge(asks: readonly Ask[]): Answers {
    if (asks.length > 1 && asks.every(isCount)) return this.#each(asks);
    const nowMs = this.#options.nowMs();
    const leases: Lease[] = [];
    this.asked++;
    for (const ask of asks) {
      const lease = isForEscrow(ask) ? this.#leaseOf(ask, nowMs) : undefined;
      if (lease === undefined || leases.includes(lease)) return this.#directly(asks);
      if (lease.takenAtMs === NEVER && changeOf(ask) === 0) return this.#directly(asks);
      leases.push(lease);
    }
    const decision = decide(leases, asks, nowMs);
    if (decision === 'take') return this.#chargeLater(leases, asks);
    this.local++;
    return this.#answers(leases, asks, decision === 'spend', nowMs);
  }

  #each(asks: readonly Ask[]): Answers {
    const answers: CounterAnswer[] = [];
    const late: Promise<void>[] = [];
    for (const [at, ask] of asks.entries()) {
      const charged = this.charge([ask]);
      if (charged instanceof Promise)
        late.push(
          charged.then(([answer]) => {
            answers[at] = answer as CounterAnswer;
          }),
        );
      else answers[at] = charged[0] as CounterAnswer;
    }
    return late.length === 0 ? answers : Promise.all(late).then(() => answers);
  }

  get held(): number {
    let sum = 0;
    for (const { held } of this.#leases) sum += held;
    return sum;
  }

  heldOf(ask: Ask): number {
    const lease = this.#leases.find(ask);
    return lease === undefined || spendableUntilMs(lease) <= this.#options.nowMs() ? 0 : lease.held;
  }

  /** Drops units of a counter that was reset. */
  forget(ask: Ask): void {
    const lease = this.#leases.find(ask);
    if (lease === undefined) return;
    lease.held = 0;
    this.#drop(lease);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#leases].map((lease) => this.#giveBack(lease)));
  }

  /** Where all can be spent, they are; else those that are held say what is left. */
  #answers(leases: readonly Lease[], asks: readonly Ask[], spends: boolean, nowMs: number): readonly CounterAnswer[] {
    return leases.map((lease, at) => {
      const cost = changeOf(asks[at] as Ask);
      if (spends) {
        lease.held -= cost;
        lease.spentAtMs = nowMs;
        return answerOf(lease, true, 0, nowMs);
      }
      const granted = !isRefused(lease, cost, nowMs);
      const answer = answerOf(lease, granted, 1, nowMs);
      if (!granted && isOfWindow(lease.ask) && lease.held > lease.chunk && lease.wanted === 0)
        void this.#giveBack(lease); // others may ask for less
      return answer;
    });
  }

  async #chargeLater(leases: readonly Lease[], asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    const [first] = leases as readonly [Lease];
    for (;;) {
      await (leases.length === 1
        ? this.#refilled(first, changeOf(asks[0] as Ask))
        : Promise.all(leases.map(async (lease, at) => this.#refilled(lease, changeOf(asks[at] as Ask)))));
      const nowMs = this.#options.nowMs();
      for (const lease of leases) if (!isOfWindow(lease.ask)) this.#expire(lease, nowMs);
      const decision = decide(leases, asks, nowMs);
      if (decision !== 'take') return this.#answers(leases, asks, decision === 'spend', nowMs);
    }
  }

  #refilled(lease: Lease, units: number): Promise<void> | undefined {
    if (isHeld(lease, units)) return undefined;
    if (lease.taking !== undefined) return this.#refilledNext(lease, lease.taking, units);
    lease.wanted += units;
    return (lease.taking = this.#take(lease));
  }

  /** After the chunk on its way: of that one, or by the next. */
  async #refilledNext(lease: Lease, taking: Promise<void>, units: number): Promise<void> {
    await taking.catch(() => undefined); // the ask that began it fails with the reason
    if (isHeld(lease, units) || lease.fullUntilMs > this.#options.nowMs()) return;
    lease.wanted += units;
    await (lease.taking ??= this.#take(lease));
  }

  /** Asks that escrow is not for go to the store; units that are held here count as left. */
  async #directly(asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    const answers = await this.#options.store.charge(asks.map((ask) => (isCount(ask) ? asSpend(ask) : ask)));
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

  async #take(lease: Lease): Promise<void> {
    await Promise.resolve(); // all that this turn brings is wanted together
    const { ask } = lease;
    const { store } = this.#options;
    const sentAtMs = this.#options.nowMs();
    const asked = isOfWindow(ask) ? Math.min(lease.wanted, ask.limit + 1) : lease.wanted;
    const wanted = Math.max(0, asked - lease.held);
    lease.wanted = 0;
    const isFirst = lease.takenAtMs === NEVER;
    lease.chunk = nextChunk(lease, sentAtMs);
    lease.takenAtMs = sentAtMs;
    const cost = isFirst ? wanted : Math.max(wanted, lease.chunk);
    this.#tell(lease, lease.held + cost - asked, sentAtMs); // goes out with the charge
    try {
      const [part] = await store.charge([
        cost > 0 ? { ...lookOf(ask), kind: 'spend', cost, partial: true } : lookOf(ask),
      ]);
      this.#record(lease, part, cost, sentAtMs);
      // Less than what is wanted was left: the counter says when the rest will be.
      if (lease.held < wanted && lease.fullUntilMs <= sentAtMs) {
        const rest = wanted - lease.held;
        const againAtMs = this.#options.nowMs();
        const [whole] = await store.charge([spendOf(ask, rest)]);
        this.#record(lease, whole, rest, againAtMs);
      }
      if (lease.fullUntilMs > sentAtMs) this.#tell(lease, lease.held - asked, this.#options.nowMs());
    } catch (error) {
      this.#tell(lease, lease.held, this.#options.nowMs());
      throw error;
    } finally {
      lease.taking = undefined;
    }
  }

  #record(lease: Lease, answer: CounterAnswer | undefined, cost: number, sentAtMs: number): void {
    if (answer === undefined) return;
    const { count, nowMs } = this.#options;
    const stranded = record(lease, answer, cost, sentAtMs, nowMs());
    if (stranded > 0) count.stranded(stranded);
    if (answer.granted && answer.charged !== undefined && answer.charged > 0) count.taken(answer.charged);
  }

  #leaseOf(ask: Ask, nowMs: number): Lease | undefined {
    const { limit, burst, endsAtMs } = ask;
    const known = this.#leases.find(ask);
    if (known !== undefined) {
      if (isOfWindow(ask)) {
        if (known.ask.limit !== limit || known.ask.endsAtMs !== endsAtMs) {
          // the request brings its limit; an ask that is kept of each call would fill the old generation
          known.left += limit - known.ask.limit;
          known.ask = ask;
        }
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
    return this.#leases.size >= (this.#options.maxLeases ?? MAX_LEASES) ? undefined : this.#leases.add(ask, nowMs);
  }

  /** Units are not spent after their time. */
  #expire(lease: Lease, nowMs: number): void {
    if (spendableUntilMs(lease) > nowMs) return;
    if (lease.ask.bucket.algorithm !== 'fixed') return void this.#giveBack(lease);
    this.#strand(lease);
    lease.left = lease.ask.limit; // a new window
  }

  #strand(lease: Lease): void {
    if (lease.held > 0) this.#options.count.stranded(lease.held);
    lease.held = 0;
  }

  /** To be called every {@link LOOK_EVERY_MS}: goes on where it stopped, and looks at all leases within a second. */
  giveBackIdle(): void {
    const nowMs = this.#options.nowMs();
    const { size } = this.#leases;
    for (let looked = Math.min(size, Math.max(LOOKED_AT, size >> 4)); looked > 0; looked--) {
      const lease = this.#leases.next();
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
    this.#tell(lease, 0, this.#options.nowMs());
    this.#leases.remove(lease);
  }

  /** Where the store cannot be told, nobody spends the units: less is admitted, never more. */
  async #giveBack(lease: Lease): Promise<void> {
    const { ask, held, endsAtMs } = lease;
    const nowMs = this.#options.nowMs();
    this.#tell(lease, 0, nowMs);
    if (held === 0) return;
    const isWindow = isOfWindow(ask);
    const units = isWindow && windowLeftMs(lease, nowMs) <= 0 ? 0 : returnable(lease, nowMs);
    lease.held = 0;
    lease.chunk = 1;
    if (units < held) this.#options.count.stranded(held - units);
    if (units === 0) return;
    lease.left += units; // the next answer of the store corrects it
    try {
      await this.#options.store.charge([
        ask.bucket.algorithm === 'gcra' || isWindow ? giveBackOf(ask, units) : { ...giveBackOf(ask, units), endsAtMs },
      ]);
      this.#options.count.returned(units);
    } catch {
      this.#options.count.stranded(units);
    }
  }

  /** Only what is new, and nothing of a window that is over: what was told of it expires. */
  #tell(lease: Lease, units: number, nowMs: number): void {
    const held = Math.max(0, units);
    const isWindow = isOfWindow(lease.ask);
    const forMs = isWindow ? windowLeftMs(lease, nowMs) : TOLD_FOR_MS;
    if (forMs <= 0 || (held === lease.told && (isWindow || held === 0))) return;
    lease.told = held;
    this.#options.tell(lease.ask, held, forMs);
  }
}
