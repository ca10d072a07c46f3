/** Counters in memory that all workers of the process see: exact, because one worker at a time is inside. */
import { hash } from 'node:crypto';
import type { Host, LeasePage, QuotaAsk, QuotaPlace } from '../../adapters/contract.ts';
import { SharedPlaces } from '../../adapters/shared-places.ts';
import { askCounter, settleAfterSetBack } from '../algorithms.ts';
import {
  BLANK,
  type Counter,
  type CounterAlgorithm,
  type CounterAnswer,
  keepsEntries,
  NO_ENTRIES,
  type Owner,
} from '../counter.ts';
import { changeOf, isLook, repeated, uncharged } from '../ask.ts';
import { leasePage, listsLeases } from '../lease-page.ts';
import type { BucketSpec } from '../store.ts';
import { changesMark, isOnList, markKey, markName } from './idempotency.ts';
import { SharedEntries } from './shared-entries.ts';

/** Numbers of a place: the end, what was used (or the rounding of `gcra`), what was used before, and a number for the counter's name. */
const PER_PLACE = 4;
const GROUP_AT = 3;

export interface SharedCountersOptions {
  readonly maxKeys: number;
  readonly maxEntries: number;
  readonly host: Pick<Host, 'shared' | 'worker'> & { readonly clock: Pick<Host['clock'], 'nowMs'> };
  readonly onEvicted: () => void;
  readonly onEntryEvicted: () => void;
}

/** A counter as it was read, or is to be written. */
type State = Required<Counter>;
/** `at` is undefined if it is not stored. */
interface Done {
  readonly ask: QuotaAsk<BucketSpec>;
  readonly at: number | undefined;
  readonly before: State;
  readonly after: State;
  readonly answer: CounterAnswer;
}

export class SharedCounters {
  readonly #clock: Pick<Host['clock'], 'nowMs'>;
  readonly #places: SharedPlaces;
  readonly #values: Float64Array;
  /** Of the counters that remember each charge: the list of each place. */
  readonly #entries: SharedEntries;
  /** The number of each name, the same in all workers. */
  readonly #groups = new Map<string, number>();

  constructor({ maxKeys, maxEntries, host, onEvicted, onEntryEvicted }: SharedCountersOptions) {
    this.#clock = host.clock;
    const sizes = `${maxKeys} and ${maxEntries}`; // in both names: each belongs to the other
    const memory = host.shared(`counters of ${sizes}`, SharedPlaces.bytesFor(maxKeys, PER_PLACE));
    this.#places = new SharedPlaces({
      memory,
      worker: host.worker.number,
      perPlace: PER_PLACE,
      onEvicted,
      onTaken: (at) => this.#entries.clear(at / PER_PLACE),
    });
    this.#values = this.#places.values;
    const lists = this.#values.length / PER_PLACE;
    const entries = host.shared(`entries of ${sizes}`, SharedEntries.bytesFor(lists, maxEntries));
    this.#entries = this.#places.within(
      () => new SharedEntries({ memory: entries, lists, maxEntries, onEvicted: onEntryEvicted }),
    );
  }

  bucket({ counter, algorithm, perMs }: BucketSpec): BucketSpec {
    return { counter, algorithm, perMs };
  }

  charge(asks: readonly QuotaAsk<BucketSpec>[]): readonly CounterAnswer[] {
    const nowMs = this.#clock.nowMs();
    return this.#places.within(() => {
      this.#entries.repair();
      const asked = asks.map((ask) => (this.#wasCharged(ask, nowMs) ? repeated(ask) : ask));
      this.#entries.makeRoom(newEntries(asked), nowMs);
      const done = asked.map((ask) => this.#ask(ask, nowMs));
      if (done.every(({ answer }) => answer.granted)) {
        for (const { ask } of done) if (changesMark(ask) && !keepsEntries(ask.bucket.algorithm)) this.#mark(ask, nowMs);
        return done.map(({ answer }) => answer);
      }
      for (const one of done.toReversed()) this.#restore(one, done.length === 1, nowMs);
      // Those that could pass say what is left, uncharged.
      return done.map(({ ask, answer }) =>
        answer.granted ? { ...this.#ask(uncharged(ask), nowMs).answer, granted: true } : answer,
      );
    });
  }

  reset(asks: readonly QuotaAsk<BucketSpec>[]): void {
    this.#places.within(() => {
      this.#entries.repair();
      for (const at of asks.map((ask) => this.#places.find(nameOf(ask)))) {
        if (at === undefined) continue;
        this.#entries.clear(at / PER_PLACE);
        this.#values.fill(0, at, at + GROUP_AT);
      }
    });
  }

  look(asks: readonly QuotaAsk<BucketSpec>[], leases?: LeasePage): readonly QuotaPlace[] {
    const nowMs = this.#clock.nowMs();
    return asks.map((ask) => {
      if (!listsLeases(ask.bucket.algorithm, leases)) return {};
      return this.#places.within(() => {
        this.#entries.repair();
        const at = this.#places.find(nameOf(ask));
        const entries = at === undefined ? [] : this.#entries.withIds(at / PER_PLACE);
        return leasePage(entries, leases, ask.perMs, nowMs, ({ id }) => id);
      });
    });
  }

  /** Counters in use now; looks at the whole memory. */
  get size(): number {
    const nowMs = this.#clock.nowMs();
    let size = 0;
    for (let at = 0; at < this.#values.length; at += PER_PLACE) if ((this.#values[at] as number) > nowMs) size++;
    return size;
  }

  #wasCharged(ask: QuotaAsk<BucketSpec>, nowMs: number): boolean {
    if (ask.idempotencyKey === undefined || ask.kind === 'release') return false;
    const isInList = keepsEntries(ask.bucket.algorithm);
    const at = this.#places.find(isInList ? nameOf(ask) : nameOf(markOf(ask)));
    if (at === undefined) return false;
    return isInList
      ? isOnList(this.#entries.read(at / PER_PLACE), this.#ownerOf(ask), nowMs, ask.perMs)
      : (this.#values[at] as number) > nowMs;
  }

  #mark(ask: QuotaAsk<BucketSpec>, nowMs: number): void {
    const charges = changeOf(ask) > 0;
    const at = charges ? this.#placeOf(markOf(ask), nowMs) : this.#places.find(nameOf(markOf(ask)));
    if (at !== undefined) this.#values[at] = charges ? nowMs + ask.perMs : 0;
  }

  /** A look changes nothing. What charges nothing takes no place and keeps none that is over. */
  #ask(ask: QuotaAsk<BucketSpec>, nowMs: number): Done {
    const { algorithm } = ask.bucket;
    const charges = changeOf(ask) > 0;
    const found = this.#places.find(nameOf(ask));
    const known = found !== undefined && (charges || (this.#values[found] as number) > nowMs) ? found : undefined;
    const before: State = known === undefined ? { ...BLANK } : this.#read(known, algorithm);
    if (known !== undefined) settleAfterSetBack(before, algorithm, ask, nowMs);
    const after: State = { ...before };
    const answer = askCounter(after, algorithm, ask, nowMs, this.#ownerOf(ask));
    const at = isLook(ask) ? undefined : (known ?? (charges && answer.granted ? this.#placeOf(ask, nowMs) : undefined));
    if (at !== undefined) this.#write(at, algorithm, before, after, leaseIdOf(ask));
    return { ask, at, before, after, answer };
  }

  /** Restores a counter. If the units returned in this call left it empty, it was over, and a later ask may have taken its place. */
  #restore({ ask, at, before, after }: Done, isAlone: boolean, nowMs: number): void {
    if (at === undefined) return;
    const place = isAlone
      ? at
      : (this.#places.find(nameOf(ask)) ?? (before.endsAtMs > nowMs ? this.#placeOf(ask, nowMs) : undefined));
    // A debt has dropped the oldest leases, which are of other callers.
    const id = ask.kind === 'owe' ? undefined : leaseIdOf(ask);
    if (place !== undefined) this.#write(place, ask.bucket.algorithm, after, before, id);
  }

  /** The groups of a full set have equal shares of it. */
  #placeOf(ask: QuotaAsk<BucketSpec>, nowMs: number): number {
    const { counter } = ask.bucket;
    let group = this.#groups.get(counter);
    if (group === undefined)
      this.#groups.set(counter, (group = Number.parseInt(hash('sha256', counter).slice(0, 13), 16)));
    const at = this.#places.placeOf(nameOf(ask), nowMs, GROUP_AT, group);
    this.#values[at + GROUP_AT] = group;
    return at;
  }

  #read(at: number, algorithm: CounterAlgorithm): State {
    const second = this.#values[at + 1] as number;
    return {
      endsAtMs: this.#values[at] as number,
      used: algorithm === 'gcra' ? 0 : second,
      usedBefore: this.#values[at + 2] as number,
      roundedUpMs: algorithm === 'gcra' ? second : 0,
      entries: keepsEntries(algorithm) ? this.#entries.read(at / PER_PLACE) : NO_ENTRIES,
    };
  }

  #write(at: number, algorithm: CounterAlgorithm, was: State, is: State, leaseId: string | undefined): void {
    if (was.entries !== is.entries) this.#entries.write(at / PER_PLACE, was.entries, is.entries, leaseId);
    this.#values[at] = is.endsAtMs;
    this.#values[at + 1] = algorithm === 'gcra' ? is.roundedUpMs : is.used;
    this.#values[at + 2] = is.usedBefore;
  }

  #ownerOf({ bucket, idempotencyKey }: QuotaAsk<BucketSpec>): Owner {
    return idempotencyKey !== undefined && keepsEntries(bucket.algorithm)
      ? this.#entries.ownerOf(idempotencyKey)
      : undefined;
  }
}

/** Stored for operators. */
const leaseIdOf = ({ bucket, idempotencyKey }: QuotaAsk<BucketSpec>): string | undefined =>
  bucket.algorithm === 'concurrency' ? idempotencyKey : undefined;

/** The key of a `window` names it wholly. */
const nameOf = ({ bucket, key, perMs }: QuotaAsk<BucketSpec>): string =>
  bucket.algorithm === 'window' ? key : `${bucket.algorithm} ${perMs} ${bucket.counter} ${key}`;

/** How many entries a call may add. */
function newEntries(asks: readonly QuotaAsk<BucketSpec>[]): number {
  let count = 0;
  for (const ask of asks) if (keepsEntries(ask.bucket.algorithm) && changeOf(ask) > 0) count++;
  return count;
}

/** The mark of an idempotency key, as if it were a counter. */
const markOf = (ask: QuotaAsk<BucketSpec>): QuotaAsk<BucketSpec> => ({
  ...ask,
  bucket: { counter: markName(ask), algorithm: ask.bucket.algorithm, perMs: ask.bucket.perMs },
  key: markKey(ask),
});
