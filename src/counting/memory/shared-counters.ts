/** The counters of one handler for several workers: one table in shared memory, exact because one worker at a time is inside. */
import { hash } from 'node:crypto';
import type { Algorithm, Host, QuotaAnswer, QuotaAsk } from '../../adapters/contract.ts';
import { SharedPlaces } from '../../adapters/shared-places.ts';
import type { Bucket } from './counters.ts';
import { chargedBefore, isListed, isLook, isOnList, markKey, markName } from './once.ts';
import { SharedEntries } from './shared-entries.ts';
import { askCounter, type Counter, type Entry, settleAfterSetBack, type Who } from '../algorithms.ts';

/** `a`, `b` and `c` of a counter, and a number for its name. */
const PER_PLACE = 4;
const GROUP_AT = 3;
const NONE: readonly Entry[] = [];
const BLANK: Readonly<Required<Counter>> = { a: 0, b: 0, c: 0, entries: NONE };

export interface SharedCountersOptions {
  readonly maxKeys: number;
  readonly maxEntries: number;
  readonly host: Pick<Host, 'shared' | 'worker'> & { readonly clock: Pick<Host['clock'], 'nowMs'> };
  readonly onEvicted: () => void;
  readonly onEntryEvicted: () => void;
}

/** A counter as it was read, or is to be written. */
type Copy = Required<Counter>;
/** `at` is undefined where nothing is kept of it. */
interface Done {
  readonly ask: QuotaAsk<Bucket>;
  readonly at: number | undefined;
  readonly before: Copy;
  readonly after: Copy;
  readonly answer: QuotaAnswer;
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

  bucket({ counter, algorithm, perMs }: Omit<Bucket, 'drawer'>): Bucket {
    return { counter, algorithm, perMs, drawer: undefined };
  }

  /** Answers each ask; charges all, or none where one is refused. */
  charge(asks: readonly QuotaAsk<Bucket>[]): readonly QuotaAnswer[] {
    const nowMs = this.#clock.nowMs();
    return this.#places.within(() => {
      this.#entries.mend();
      const asked = asks.map((given) => (this.#wasCharged(given, nowMs) ? chargedBefore(given) : given));
      this.#entries.makeRoom(mostEntries(asked), nowMs);
      const done = asked.map((ask) => this.#ask(ask, nowMs));
      if (done.every(({ answer }) => answer.granted)) {
        for (const { ask } of done)
          if (ask.once !== undefined && ask.cost !== 0 && !isListed(ask.bucket.algorithm)) this.#mark(ask, nowMs);
        return done.map(({ answer }) => answer);
      }
      for (const one of done.toReversed()) this.#restore(one, done.length === 1, nowMs);
      // Those that could pass say what is left, uncharged.
      return done.map(({ ask, answer }) =>
        answer.granted ? { ...this.#ask({ ...ask, cost: 0, release: false }, nowMs).answer, granted: true } : answer,
      );
    });
  }

  reset(asks: readonly QuotaAsk<Bucket>[]): void {
    this.#places.within(() => {
      this.#entries.mend();
      for (const at of asks.map((ask) => this.#places.find(nameOf(ask)))) {
        if (at === undefined) continue;
        this.#entries.clear(at / PER_PLACE);
        this.#values.fill(0, at, at + GROUP_AT);
      }
    });
  }

  #wasCharged(ask: QuotaAsk<Bucket>, nowMs: number): boolean {
    if (ask.once === undefined || ask.release === true) return false;
    const isInList = isListed(ask.bucket.algorithm);
    const at = this.#places.find(isInList ? nameOf(ask) : nameOf(markOf(ask)));
    if (at === undefined) return false;
    return isInList
      ? isOnList(this.#entries.read(at / PER_PLACE), this.#whoOf(ask), nowMs)
      : (this.#values[at] as number) > nowMs;
  }

  /** That it was charged, or no longer is. */
  #mark(ask: QuotaAsk<Bucket>, nowMs: number): void {
    const name = nameOf(markOf(ask));
    const at = ask.cost > 0 ? this.#placeOf(markOf(ask), nowMs) : this.#places.find(name);
    if (at !== undefined) this.#values[at] = ask.cost > 0 ? nowMs + ask.perMs : 0;
  }

  /** Looking changes nothing, and what charges nothing takes no place and keeps none that is over. */
  #ask(ask: QuotaAsk<Bucket>, nowMs: number): Done {
    const { algorithm } = ask.bucket;
    const found = this.#places.find(nameOf(ask));
    const known = found !== undefined && (ask.cost > 0 || (this.#values[found] as number) > nowMs) ? found : undefined;
    const before = known === undefined ? BLANK : this.#read(known, algorithm);
    if (known !== undefined) settleAfterSetBack(before, algorithm, ask, nowMs);
    const after: Copy = { a: before.a, b: before.b, c: before.c, entries: before.entries };
    const answer = askCounter(after, algorithm, ask, nowMs, this.#whoOf(ask));
    const at = isLook(ask)
      ? undefined
      : (known ?? (ask.cost > 0 && answer.granted ? this.#placeOf(ask, nowMs) : undefined));
    if (at !== undefined) this.#write(at, before, after);
    return { ask, at, before, after, answer };
  }

  /** To what it was. What was given back for a moment was over, and a later ask may have taken its place. */
  #restore({ ask, at, before, after }: Done, isAlone: boolean, nowMs: number): void {
    if (at === undefined) return;
    const name = nameOf(ask);
    const place = isAlone
      ? at
      : (this.#places.find(name) ?? (before.a > nowMs ? this.#placeOf(ask, nowMs) : undefined));
    if (place !== undefined) this.#write(place, after, before);
  }

  /** Nobody pushes another name's counters out. */
  #placeOf(ask: QuotaAsk<Bucket>, nowMs: number): number {
    const { counter } = ask.bucket;
    let group = this.#groups.get(counter);
    if (group === undefined)
      this.#groups.set(counter, (group = Number.parseInt(hash('sha256', counter).slice(0, 13), 16)));
    const at = this.#places.placeOf(nameOf(ask), nowMs, GROUP_AT, group);
    this.#values[at + GROUP_AT] = group;
    return at;
  }

  #read(at: number, algorithm: Algorithm): Copy {
    return {
      a: this.#values[at] as number,
      b: this.#values[at + 1] as number,
      c: this.#values[at + 2] as number,
      entries: isListed(algorithm) ? this.#entries.read(at / PER_PLACE) : NONE,
    };
  }

  #write(at: number, was: Copy, is: Copy): void {
    if (was.entries !== is.entries) this.#entries.write(at / PER_PLACE, was.entries, is.entries);
    this.#values[at] = is.a;
    this.#values[at + 1] = is.b;
    this.#values[at + 2] = is.c;
  }

  #whoOf({ bucket, once }: QuotaAsk<Bucket>): Who {
    return once !== undefined && isListed(bucket.algorithm) ? this.#entries.whoOf(once) : undefined;
  }
}

const nameOf = ({ bucket, key, perMs }: QuotaAsk<Bucket>): string =>
  `${bucket.algorithm} ${perMs} ${bucket.counter} ${key}`;

/** That a call may add. */
function mostEntries(asks: readonly QuotaAsk<Bucket>[]): number {
  let count = 0;
  for (const { bucket, cost } of asks) if (cost > 0 && isListed(bucket.algorithm)) count++;
  return count;
}

/** As if it were a counter. */
const markOf = (ask: QuotaAsk<Bucket>): QuotaAsk<Bucket> => ({
  ...ask,
  bucket: { ...ask.bucket, counter: markName(ask) },
  key: markKey(ask),
});
