/**
 * Leases units of a counter from the store, in chunks, and spends them here: most asks are answered at once, without a round trip.
 * **In**: asks. **Out**: answers, at once if enough is held. **Fails**: as the store does, if units have to be fetched.
 *
 * Units that are held were charged when they were taken, so a window never admits more than its limit: units that outlive it are not spent.
 * With `gcra` and `sliding`, what is spent was charged at most one second before, so in any time t no more passes than they let pass in
 * t and a second. Units that are held here cannot be spent elsewhere: chunks are a small part of what is left, and are given back when
 * idle.
 */
import { asSpend, changeOf, spendOf } from './ask.ts';
import {
  adopt,
  answerOf,
  areTaken,
  decide,
  isForEscrow,
  isHeld,
  isOfWindow,
  isPlainSpend,
  isRefused,
  type Lease,
  Leases,
  NEVER,
  nextChunk,
  record,
  returnable,
  spendableUntilMs,
} from './lease.ts';
import { sendBack } from './sent-back.ts';
import type { CounterAnswer, CounterAsk as Ask, CounterStore } from './store.ts';

/** A lease that was not spent from for this long is given back. */
const IDLE_MS = 200;
export const LOOK_EVERY_MS = 50;
const MAX_LEASES = 100_000;
/** How long a record of the holders of a counter without windows is valid. */
const RECORD_VALID_MS = 5000;

export type EscrowedUnits = 'taken' | 'returned' | 'stranded';

export interface EscrowOptions {
  readonly store: Pick<CounterStore, 'charge' | 'reset'>;
  /** Records for operators how many units are held here, for `forMs` at most; not awaited. */
  readonly recordHeld: (ask: Ask, units: number, forMs: number) => void;
  /** Milliseconds of a clock that is never set; with `window`s, the time of day. */
  readonly nowMs: () => number;
  /** Units: leased, returned, and lost because their window ended first or they could not be returned. */
  readonly onUnits: (what: EscrowedUnits, units: number) => void;
  /** Further counters are charged ask by ask. */
  readonly maxLeases?: number;
}

type Answers = ReturnType<CounterStore['charge']>;

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
    return asks.every(isPlainSpend) ? this.#spend(asks) : this.#directly(asks);
  }

  /** Spends the cost of each ask by itself, where others owe it: an ask beyond the limit is refused, and not charged. */
  spendEach(asks: readonly Ask[]): Answers {
    if (asks.length === 1) return this.#spend(asks);
    const spent = asks.map((ask) => this.#spend([ask]));
    return spent.some((one) => one instanceof Promise)
      ? // Also of answers that are here
        Promise.all(spent as readonly Promise<readonly CounterAnswer[]>[]).then((answers) => answers.flat())
      : (spent as readonly (readonly CounterAnswer[])[]).flat();
  }

  #spend(asks: readonly Ask[]): Answers {
    const nowMs = this.#options.nowMs();
    const leases = asks.map((ask) => (isForEscrow(ask) ? this.#leaseOf(ask, nowMs) : undefined));
    if (!areTaken(leases, asks)) return this.#directly(asks.map(asSpend));
    this.asked++;
    const decision = decide(leases, asks, nowMs);
    if (decision === 'take') return this.#chargeLater(leases, asks);
    this.local++;
    return this.#answers(leases, asks, decision === 'spend', nowMs);
  }

  get held(): number {
    return this.#leases.held;
  }

  heldOf(ask: Ask): number {
    const lease = this.#leases.find(ask);
    return lease === undefined || spendableUntilMs(lease) <= this.#options.nowMs() ? 0 : lease.held;
  }

  /** Drops units of a counter that was reset. */
  dropHeld(ask: Ask): void {
    const lease = this.#leases.find(ask);
    if (lease === undefined) return;
    lease.held = 0;
    this.#drop(lease);
  }

  reset(asks: readonly Ask[]): void | Promise<void> {
    for (const ask of asks) this.dropHeld(ask);
    return this.#options.store.reset(asks);
  }

  async close(): Promise<void> {
    for (const lease of this.#leases) void this.#giveBack(lease);
    for (const { returning } of this.#leases) await returning?.catch(() => undefined);
  }

  /** `spends`: charges all asks; otherwise none, and the answers say what is left. */
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

  #chargeLater(leases: readonly Lease[], asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    const refilled =
      leases.length === 1
        ? this.#refilled(leases[0] as Lease, changeOf(asks[0] as Ask))
        : Promise.all(leases.map(async (lease, at) => this.#refilled(lease, changeOf(asks[at] as Ask))));
    return refilled.then(() => {
      const nowMs = this.#options.nowMs();
      for (const lease of leases) if (!isOfWindow(lease.ask)) this.#expire(lease, nowMs);
      const decision = decide(leases, asks, nowMs);
      return decision === 'take'
        ? this.#chargeLater(leases, asks)
        : this.#answers(leases, asks, decision === 'spend', nowMs);
    });
  }

  /** By the chunk on its way, or by the next. */
  async #refilled(lease: Lease, units: number): Promise<void> {
    if (isHeld(lease, units)) return;
    if (lease.taking !== undefined) {
      await lease.taking.catch(() => undefined); // the ask that began it fails with the reason
      if (isHeld(lease, units) || lease.fullUntilMs > this.#options.nowMs()) return;
    }
    lease.wanted += units;
    await (lease.taking ??= this.#take(lease));
  }

  /** Asks that escrow is not for go to the store; units that are held here count as left. */
  async #directly(asks: readonly Ask[]): Promise<readonly CounterAnswer[]> {
    this.asked++;
    for (const ask of asks) await this.#leases.find(ask)?.returning;
    const answers = await this.#options.store.charge(asks);
    return answers.map((answer, at) => {
      const held = this.heldOf(asks[at] as Ask);
      if (held === 0) return answer;
      const remaining = Math.min(answer.limit, answer.remaining + Math.floor(held));
      return answer.used === undefined
        ? { ...answer, remaining, held }
        : { ...answer, remaining, held, used: Math.min(answer.used, answer.limit) - held };
    });
  }

  async #take(lease: Lease): Promise<void> {
    // Else for a microtask: asks of this turn are fetched together.
    await lease.returning?.catch((error: unknown) => {
      lease.wanted = 0;
      lease.taking = undefined;
      throw error;
    });
    const { store } = this.#options;
    const sentAtMs = this.#options.nowMs();
    const asked = isOfWindow(lease.ask) ? Math.min(lease.wanted, lease.ask.limit + 1) : lease.wanted;
    const wanted = Math.max(0, asked - lease.held);
    lease.wanted = 0;
    lease.chunk = nextChunk(lease, sentAtMs);
    const cost = lease.takenAtMs === NEVER ? wanted : Math.max(wanted, lease.chunk);
    lease.takenAtMs = sentAtMs;
    this.#recordHeld(lease, lease.held + cost - asked, sentAtMs); // goes out with the charge
    try {
      const [part] = await store.charge([cost > 0 ? { ...spendOf(lease.ask, cost), partial: true } : lease.ask]);
      this.#record(lease, part, cost, sentAtMs);
      // Fewer units were left than wanted: the counter says when the rest will be there.
      if (lease.held < wanted && lease.fullUntilMs <= sentAtMs) {
        const rest = wanted - lease.held;
        const againAtMs = this.#options.nowMs();
        const [whole] = await store.charge([spendOf(lease.ask, rest)]);
        this.#record(lease, whole, rest, againAtMs);
      }
      if (lease.fullUntilMs > sentAtMs) this.#recordHeld(lease, lease.held - asked, this.#options.nowMs());
    } catch (error) {
      this.#recordHeld(lease, lease.held, this.#options.nowMs());
      throw error;
    } finally {
      lease.taking = undefined;
      // Another limit has replaced the lease meanwhile; those who wait for these units spend first.
      if (this.#leases.find(lease.ask) !== lease) setImmediate(() => void this.#giveBack(lease));
    }
  }

  #record(lease: Lease, answer: CounterAnswer | undefined, cost: number, sentAtMs: number): void {
    if (answer === undefined) return;
    const { onUnits, nowMs } = this.#options;
    const stranded = record(lease, answer, cost, sentAtMs, nowMs());
    if (stranded > 0) onUnits('stranded', stranded);
    if (answer.granted && answer.charged !== undefined && answer.charged > 0) onUnits('taken', answer.charged);
  }

  #leaseOf(ask: Ask, nowMs: number): Lease | undefined {
    const { limit, burst, endsAtMs } = ask;
    const known = this.#leases.find(ask);
    if (known !== undefined) {
      const isSame = known.ask.limit === limit && known.ask.endsAtMs === endsAtMs;
      if (isOfWindow(ask)) {
        if (!isSame) adopt(known, ask);
        return known;
      }
      if (isSame && known.ask.burst === burst) {
        this.#expire(known, nowMs);
        return known;
      }
      // its limit has changed, or the calendar's period is over
      void this.#giveBack(known);
      this.#drop(known);
    }
    if (this.#leases.size >= (this.#options.maxLeases ?? MAX_LEASES)) return undefined;
    return this.#leases.add(ask, nowMs, known?.returning);
  }

  /** Units are not spent after their time. */
  #expire(lease: Lease, nowMs: number): void {
    if (spendableUntilMs(lease) > nowMs) return;
    if (lease.ask.bucket.algorithm !== 'fixed') return void this.#giveBack(lease);
    this.#strand(lease);
    lease.left = lease.ask.limit; // a new window
  }

  #strand(lease: Lease): void {
    if (lease.held > 0) this.#options.onUnits('stranded', lease.held);
    lease.held = 0;
  }

  /** To be called every {@link LOOK_EVERY_MS}: looks at all leases within a second. */
  giveBackIdle(): void {
    const nowMs = this.#options.nowMs();
    for (const lease of this.#leases.turn(nowMs)) {
      if (lease.taking !== undefined) continue;
      if (isOfWindow(lease.ask) && lease.resetAtMs <= nowMs) {
        this.#strand(lease);
        this.#drop(lease);
        continue;
      }
      this.#expire(lease, nowMs);
      if (nowMs - lease.spentAtMs <= IDLE_MS) continue;
      if (lease.held > 0) void this.#giveBack(lease);
      else if (lease.fullUntilMs <= nowMs && lease.returning === undefined) this.#drop(lease);
    }
  }

  #drop(lease: Lease): void {
    this.#recordHeld(lease, 0, this.#options.nowMs());
    this.#leases.remove(lease);
  }

  async #giveBack(lease: Lease): Promise<void> {
    const { held } = lease;
    const nowMs = this.#options.nowMs();
    this.#recordHeld(lease, 0, nowMs);
    if (held === 0) return;
    const units = returnable(lease, nowMs);
    lease.held = 0;
    lease.chunk = 1;
    if (units < held) this.#options.onUnits('stranded', held - units);
    if (units === 0) return;
    lease.left += units; // the next answer of the store corrects it
    await sendBack(lease, units, this.#options);
  }

  /** Only changes, and none of a window that is over: its record expires. */
  #recordHeld(lease: Lease, units: number, nowMs: number): void {
    const held = Math.max(0, units);
    const isWindow = isOfWindow(lease.ask);
    const forMs = isWindow ? lease.resetAtMs - nowMs : RECORD_VALID_MS;
    if (forMs <= 0 || (held === lease.recorded && (isWindow || held === 0))) return;
    lease.recorded = held;
    this.#options.recordHeld(lease.ask, held, forMs);
  }
}
