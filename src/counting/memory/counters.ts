/**
 * Counters in the memory of one thread, bounded.
 * **In**: asks. **Out**: answers, at once. **Fails**: with {@link Rejected} if there is no room for a new counter.
 */
import {
  type Host,
  type LeasePage,
  type QuotaAnswer,
  type QuotaAsk,
  type QuotaPlace,
  Rejected,
} from '../../adapters/contract.ts';
import { askCounter, settleAfterSetBack } from '../algorithms.ts';
import {
  BLANK,
  copyOf,
  type Counter,
  type CounterAlgorithm,
  type CounterAnswer,
  keepsEntries,
  NO_ENTRIES,
} from '../counter.ts';
import { changeOf, giveBackOf, isLook, repeated, uncharged } from '../ask.ts';
import { boundedKey, textOfBounded } from '../bounded-key.ts';
import { leasePage, listsLeases } from '../lease-page.ts';
import type { BucketSpec } from '../store.ts';
import type { Slot } from './expiry-list.ts';
import { type Bucket, type Group, Groups, isOfCalendar } from './groups.ts';
import { changesMark, isOnList, markKey, markName } from './idempotency.ts';

export interface CountersOptions {
  readonly maxKeys: number;
  readonly clock: Pick<Host['clock'], 'nowMs' | 'monotonicMs'>;
  /** Where all counters are in use: a new one is rejected, unless its group has less than its share; or the oldest of its group goes. */
  readonly whenFull?: 'reject' | 'evict';
  /** A counter in use was forgotten for one of another group. */
  readonly onEvicted: () => void;
  /** The failure of an ask for which there is no room; {@link Rejected} by default. */
  readonly noRoom?: () => Error;
  /** There was no room for a counter. */
  readonly onFull: () => void;
}

export class Counters {
  readonly #options: CountersOptions;
  readonly #groups: Groups;
  /** Converts the monotonic clock, which is never set back, to a time of day. */
  readonly #startedAtMs: number;

  constructor(options: CountersOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.nowMs() - options.clock.monotonicMs();
    this.#groups = new Groups({
      maxKeys: options.maxKeys,
      nowMs: (algorithm) => this.#nowMs(algorithm),
      whenFull: options.whenFull,
      onEvicted: () => options.onEvicted(),
    });
  }

  get size(): number {
    return this.#groups.size;
  }

  /** Names that are counted, with their algorithms and periods. */
  get groups(): number {
    return this.#groups.count;
  }

  get isFull(): boolean {
    return this.#groups.isFull;
  }

  bucket({ counter, algorithm, perMs }: BucketSpec): Bucket {
    const group = this.#groups.named(counter, algorithm, perMs);
    group.buckets++;
    return { counter, algorithm, perMs, group };
  }

  /** The bucket is not used any more. Its counters stay until they are over, for a rule of the same name that comes later. */
  forget({ group }: Bucket): void {
    if (group === undefined) return;
    group.buckets--;
    this.#groups.dropEmpty(group);
  }

  /** Removes what is over, looking at up to `limit` counters of each group. */
  sweep(limit: number): void {
    this.#groups.sweep(limit);
  }

  charge(asks: readonly QuotaAsk<Bucket>[]): readonly CounterAnswer[] {
    const [first] = asks;
    if (asks.length === 1 && first !== undefined && first.idempotencyKey === undefined) return [this.#ask(first)];
    if (asks.every(isPlainCount)) return this.#countAll(asks);
    return this.#allOrNone(asks.map((ask) => (this.#wasCharged(ask) ? repeated(ask) : ask)));
  }

  reset(asks: readonly QuotaAsk<Bucket>[]): void {
    for (const ask of asks) {
      const slot = this.#find(ask);
      if (slot !== undefined) restore(slot, BLANK);
    }
  }

  look(asks: readonly QuotaAsk<Bucket>[], leases?: LeasePage): readonly QuotaPlace[] {
    return asks.map((ask) => {
      const { algorithm } = ask.bucket;
      if (!listsLeases(algorithm, leases)) return {};
      const entries = this.#find(ask)?.entries ?? NO_ENTRIES;
      return leasePage(entries, leases, ask.perMs, this.#nowMs(algorithm), ({ owner }) =>
        typeof owner === 'string' ? textOfBounded(owner) : undefined,
      );
    });
  }

  clear(): void {
    this.#groups.clear();
  }

  /** None can be refused, so no state is saved for a rollback. */
  #countAll(asks: readonly QuotaAsk<Bucket>[]): readonly CounterAnswer[] {
    const answers: CounterAnswer[] = [];
    try {
      for (const ask of asks) answers.push(this.#ask(ask));
    } catch (error) {
      for (const ask of asks.slice(0, answers.length)) this.#ask(giveBackOf(ask, changeOf(ask))); // there is no room
      throw error;
    }
    return answers;
  }

  #allOrNone(asks: readonly QuotaAsk<Bucket>[]): readonly CounterAnswer[] {
    const done: { readonly ask: QuotaAsk<Bucket>; readonly before: Readonly<Counter>; readonly answer: QuotaAnswer }[] =
      [];
    try {
      for (const ask of asks) done.push({ ask, before: copyOf(this.#find(ask) ?? BLANK), answer: this.#ask(ask) });
    } catch (error) {
      for (const { ask, before } of done.toReversed()) this.#restore(ask, before);
      throw error;
    }
    if (done.every(({ answer }) => answer.granted)) {
      for (const { ask } of done) if (changesMark(ask) && !keepsEntries(ask.bucket.algorithm)) this.#mark(ask);
      return done.map(({ answer }) => answer);
    }
    for (const { ask, before } of done.toReversed()) this.#restore(ask, before);
    // Those that could pass say what is left, uncharged.
    return done.map(({ ask, answer }) => (answer.granted ? { ...this.#ask(uncharged(ask)), granted: true } : answer));
  }

  /** Windows follow the calendar; a charge that lasts for a period must not last longer if the clock is set back. */
  #nowMs(algorithm: CounterAlgorithm): number {
    const { clock } = this.#options;
    return isOfCalendar(algorithm) ? clock.nowMs() : this.#startedAtMs + clock.monotonicMs();
  }

  #wasCharged(ask: QuotaAsk<Bucket>): boolean {
    const { idempotencyKey, bucket } = ask;
    if (idempotencyKey === undefined || ask.kind === 'release') return false;
    if (keepsEntries(bucket.algorithm))
      return isOnList(
        this.#find(ask)?.entries ?? NO_ENTRIES,
        boundedKey(idempotencyKey),
        this.#nowMs(bucket.algorithm),
        ask.perMs,
      );
    const marks = this.#marksOf(ask);
    return (marks.index.get(markKey(ask))?.endsAtMs ?? 0) > this.#nowMs(marks.algorithm);
  }

  /** Where there is no room for a mark, a repeated ask is charged again. */
  #mark(ask: QuotaAsk<Bucket>): void {
    const marks = this.#marksOf(ask);
    const known = marks.index.get(markKey(ask));
    if (changeOf(ask) > 0) {
      const endsAtMs = this.#nowMs(marks.algorithm) + ask.perMs;
      if (known === undefined) this.#add(marks, markKey(ask), { ...BLANK, endsAtMs });
      else known.endsAtMs = endsAtMs;
    } else if (known !== undefined) known.endsAtMs = 0;
  }

  /** Kept like counters of `gcra`, which may end at any time. */
  #marksOf(ask: QuotaAsk<Bucket>): Group {
    return this.#groups.named(markName(ask), 'gcra', ask.perMs);
  }

  /** A look changes nothing, nor does what is refused. What charges nothing makes no counter and keeps none that is over. */
  #ask(ask: QuotaAsk<Bucket>): CounterAnswer {
    const { algorithm } = ask.bucket;
    const nowMs = this.#nowMs(algorithm);
    const group = this.#groups.for(ask);
    const owner = ask.idempotencyKey === undefined ? undefined : boundedKey(ask.idempotencyKey);
    const charges = changeOf(ask) > 0;
    const known = group.index.get(boundedKey(ask.key));
    if (known !== undefined && (charges || known.endsAtMs > nowMs)) {
      settleAfterSetBack(known, algorithm, ask, nowMs);
      if (isLook(ask)) return askCounter(copyOf(known), algorithm, ask, nowMs, owner);
      const { endsAtMs, used, usedBefore, roundedUpMs, entries } = known;
      const answer = askCounter(known, algorithm, ask, nowMs, owner);
      if (!answer.granted) restore(known, { endsAtMs, used, usedBefore, roundedUpMs, entries: entries ?? NO_ENTRIES });
      else if (endsAtMs <= nowMs) known.list.moveToEnd(known); // a new window
      return answer;
    }
    const fresh: Counter = { ...BLANK };
    const answer = askCounter(fresh, algorithm, ask, nowMs, owner);
    if (charges && answer.granted) this.#addOrReject(group, boundedKey(ask.key), fresh);
    return answer;
  }

  /** Brings a counter back to a state before. One whose units were given back for a moment was over, and may have been swept. */
  #restore(ask: QuotaAsk<Bucket>, before: Readonly<Counter>): void {
    const slot = this.#find(ask);
    if (slot !== undefined) restore(slot, before);
    else if (before.endsAtMs > this.#nowMs(ask.bucket.algorithm))
      this.#add(this.#groups.for(ask), boundedKey(ask.key), before);
  }

  #find(ask: QuotaAsk<Bucket>): Slot | undefined {
    return this.#groups.for(ask).index.get(boundedKey(ask.key));
  }

  #addOrReject(group: Group, key: string, counter: Readonly<Counter>): Slot {
    const added = this.#add(group, key, counter);
    if (added !== undefined) return added;
    const { maxKeys, noRoom } = this.#options;
    throw noRoom?.() ?? new Rejected(`no room for another counter: all ${maxKeys} are in use (maxKeys)`);
  }

  #add(group: Group, key: string, counter: Readonly<Counter>): Slot | undefined {
    const added = this.#groups.add(group, key, counter);
    if (added === undefined) this.#options.onFull();
    return added;
  }
}

/** It cannot be refused, and leaves no mark. */
const isPlainCount = ({ kind, bucket, idempotencyKey }: QuotaAsk<Bucket>): boolean =>
  kind === 'owe' && bucket.algorithm === 'window' && idempotencyKey === undefined;

function restore(counter: Counter, { endsAtMs, used, usedBefore, roundedUpMs, entries = NO_ENTRIES }: Counter): void {
  counter.endsAtMs = endsAtMs;
  counter.used = used;
  counter.usedBefore = usedBefore;
  counter.roundedUpMs = roundedUpMs;
  counter.entries = entries;
}
