/**
 * Counters in memory: exact, because whoever charges is alone within the table.
 * **In**: asks. **Out**: answers, at once. **Fails**: if the table has no room for a new counter; then the call charges none.
 */
import type { LeasePage, QuotaPlace } from '../../adapters/contract.ts';
import { askCounter, lasts, settleAfterSetBack } from '../algorithms.ts';
import { changeOf, giveBackOf, isLook, repeated, uncharged } from '../ask.ts';
import { BLANK, copyOf, type Counter, type CounterAnswer, keepsEntries, NO_ENTRIES } from '../counter.ts';
import { boundedKey } from '../bounded-key.ts';
import { leasePage, listsLeases } from '../lease-page.ts';
import type { CounterAsk as Ask } from '../store.ts';
import type { CounterName, Table } from './table.ts';

/** A counter before an ask of a call that may be refused later. */
interface Before {
  readonly ask: Ask;
  readonly state: Readonly<Counter>;
}

export class Counters {
  readonly #table: Table;
  readonly #noRoom: () => Error;

  /** `noRoom`: the failure of an ask for which there is no room. */
  constructor(table: Table, noRoom: () => Error) {
    this.#table = table;
    this.#noRoom = noRoom;
  }

  /** Counters that the table holds. */
  get size(): number {
    return this.#table.size;
  }

  charge(asks: readonly Ask[]): readonly CounterAnswer[] {
    return this.#table.within(this.#charge, asks);
  }

  reset(asks: readonly Ask[]): void {
    this.#table.within((some) => {
      for (const ask of some) {
        const found = this.#table.find(ask);
        if (found !== undefined) this.#set(found, BLANK);
      }
    }, asks);
  }

  look(asks: readonly Ask[], leases?: LeasePage): readonly QuotaPlace[] {
    const table = this.#table;
    return asks.map((ask) => {
      const { algorithm } = ask.bucket;
      if (!listsLeases(algorithm, leases)) return {};
      return table.within(() => {
        const entries = table.find(ask)?.entries ?? NO_ENTRIES;
        return leasePage(entries, leases, ask.perMs, table.nowMs(algorithm), (entry) => table.leaseIdOf(entry));
      }, asks);
    });
  }

  readonly #charge = (asks: readonly Ask[]): readonly CounterAnswer[] => {
    const asked = asks.some(isOnce) ? asks.map((ask) => (this.#wasCharged(ask) ? repeated(ask) : ask)) : asks;
    this.#table.reserve(asked);
    const [first] = asked;
    if (first === undefined || asked.length > 1)
      return asked.every(isPlainCount) ? this.#countAll(asked) : this.#allOrNone(asked);
    const answer = this.#ask(first);
    if (answer.granted) this.#mark(first);
    return [answer];
  };

  /** None can be refused, so no state is saved for a rollback. */
  #countAll(asks: readonly Ask[]): readonly CounterAnswer[] {
    const answers: CounterAnswer[] = [];
    try {
      for (const ask of asks) answers.push(this.#ask(ask));
    } catch (error) {
      for (const ask of asks.slice(0, answers.length)) this.#ask(giveBackOf(ask, changeOf(ask))); // there is no room
      throw error;
    }
    return answers;
  }

  #allOrNone(asks: readonly Ask[]): readonly CounterAnswer[] {
    const before: Before[] = [];
    const answers: CounterAnswer[] = [];
    try {
      for (const ask of asks) answers.push(this.#ask(ask, before));
    } catch (error) {
      this.#restore(before);
      throw error;
    }
    if (answers.every(({ granted }) => granted)) {
      for (const ask of asks) this.#mark(ask);
      return answers;
    }
    this.#restore(before);
    // Those that could pass say what is left, uncharged.
    return answers.map((answer, at) =>
      answer.granted ? { ...this.#ask(uncharged(asks[at] as Ask)), granted: true } : answer,
    );
  }

  /** A look changes nothing, nor does what is refused. What charges nothing makes no counter and keeps none that is over. */
  #ask(ask: Ask, before?: Before[]): CounterAnswer {
    const table = this.#table;
    const { bucket, idempotencyKey } = ask;
    const { algorithm } = bucket;
    const nowMs = table.nowMs(algorithm);
    const owner =
      idempotencyKey !== undefined && keepsEntries(algorithm) ? table.ownerOf(idempotencyKey) : idempotencyKey;
    const charges = changeOf(ask) > 0;
    const found = table.find(ask);
    const isKnown = found !== undefined && (charges || found.endsAtMs > nowMs);
    if (isKnown) settleAfterSetBack(found, ask, nowMs);
    before?.push({ ask, state: copyOf(found ?? BLANK) });
    if (isKnown) {
      if (isLook(ask)) return askCounter(copyOf(found), ask, nowMs, owner);
      const { endsAtMs, used, usedBefore, roundedUpMs, entries } = found;
      const answer = askCounter(found, ask, nowMs, owner);
      if (answer.granted) table.write(found, endsAtMs <= nowMs, leaseIdOf(ask));
      else this.#set(found, { endsAtMs, used, usedBefore, roundedUpMs, entries });
      return answer;
    }
    const fresh: Counter = { ...BLANK };
    const answer = askCounter(fresh, ask, nowMs, owner);
    if (charges && answer.granted && !table.add(ask, fresh, leaseIdOf(ask))) throw this.#noRoom();
    return answer;
  }

  /** A counter whose units were given back for a moment was over, and another may have its place. */
  #restore(before: readonly Before[]): void {
    for (const { ask, state } of before.toReversed()) {
      const found = this.#table.find(ask);
      const leaseId = ask.kind === 'owe' ? undefined : leaseIdOf(ask); // a debt drops the oldest leases, which are of others
      if (found !== undefined) this.#set(found, state, leaseId);
      else if (state.endsAtMs > this.#table.nowMs(ask.bucket.algorithm)) this.#table.add(ask, state, leaseId);
    }
  }

  #set(counter: Counter, { endsAtMs, used, usedBefore, roundedUpMs, entries }: Counter, leaseId?: string): void {
    counter.endsAtMs = endsAtMs;
    counter.used = used;
    counter.usedBefore = usedBefore;
    counter.roundedUpMs = roundedUpMs;
    counter.entries = entries;
    this.#table.write(counter, false, leaseId);
  }

  /** `log` and `concurrency` find the key in their entries, the other algorithms by a mark. */
  #wasCharged(ask: Ask): boolean {
    const { idempotencyKey, bucket, perMs } = ask;
    if (idempotencyKey === undefined || ask.kind === 'release') return false;
    if (!keepsEntries(bucket.algorithm)) {
      const mark = markOf(ask);
      const leftMs = (this.#table.find(mark)?.endsAtMs ?? 0) - this.#table.nowMs(mark.bucket.algorithm);
      return leftMs > 0 && leftMs <= 2 * perMs; // as an entry of a log lasts
    }
    const owner = this.#table.ownerOf(idempotencyKey);
    const nowMs = this.#table.nowMs(bucket.algorithm);
    const entries = this.#table.find(ask)?.entries ?? NO_ENTRIES;
    return entries.some((entry) => entry.owner === owner && lasts(entry, nowMs, perMs));
  }

  /**
   * After a call that was granted: of a charge it is set, of units that are given back removed. Without room, a repeated ask is charged
   * again.
   */
  #mark(ask: Ask): void {
    const change = changeOf(ask);
    if (ask.idempotencyKey === undefined || keepsEntries(ask.bucket.algorithm) || change === 0) return;
    const mark = markOf(ask);
    const endsAtMs = change > 0 ? this.#table.nowMs(mark.bucket.algorithm) + ask.perMs : 0;
    const found = this.#table.find(mark);
    if (found !== undefined) this.#set(found, { ...BLANK, endsAtMs });
    else if (endsAtMs > 0) this.#table.add(mark, { ...BLANK, endsAtMs });
  }
}

const isOnce = ({ idempotencyKey }: Ask): boolean => idempotencyKey !== undefined;

/** It cannot be refused, and leaves no mark. */
const isPlainCount = ({ kind, bucket, idempotencyKey }: Ask): boolean =>
  kind === 'owe' && bucket.algorithm === 'window' && idempotencyKey === undefined;

/** A counter under a name that no rule's counter has, kept like those of `gcra`, which may end at any time. */
const markOf = ({ bucket: { counter, algorithm }, key, perMs, idempotencyKey }: Ask): CounterName => ({
  bucket: { counter: `\0once ${algorithm} ${counter}`, algorithm: 'gcra', perMs },
  key: boundedKey(`${JSON.stringify(key)} ${idempotencyKey ?? ''}`),
  perMs,
});

/** Kept for operators. */
const leaseIdOf = ({ bucket, idempotencyKey }: Ask): string | undefined =>
  bucket.algorithm === 'concurrency' ? idempotencyKey : undefined;
