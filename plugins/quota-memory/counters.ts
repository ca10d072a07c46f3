/** All counters of one handler, bounded. */
import type { Algorithm, Host, QuotaAnswer, QuotaAsk } from 'sluice/plugin';
import { type Placed, Shelf } from './shelf.ts';
import { chargedBefore, isListed, isOnList, markKey, markName } from './once.ts';
import { askCounter, type Entry } from './windows.ts';

/** The counters of one name, algorithm and period, by key. */
interface Drawer {
  readonly shelf: Shelf;
  readonly counters: Map<string, Placed>;
}

export interface Bucket {
  readonly counter: string;
  readonly algorithm: Algorithm;
  readonly perMs: number;
  /** Where the counters are, in the memory of one process. */
  readonly drawer: Drawer | undefined;
}

export interface CountersOptions {
  readonly maxKeys: number;
  readonly clock: Pick<Host['clock'], 'nowMs'>;
  readonly onEvicted: () => void;
}

const NONE: readonly Entry[] = [];
const SWEPT_PER_NEW_KEY = 2; // more than one, so that what is over goes faster than new keys come

export class Counters {
  readonly #options: CountersOptions;
  /** In order of period: where all are in use, the shortest loses least. */
  #shelves: Shelf[] = [];
  readonly #drawers = new Map<string, Drawer>();
  #size = 0;

  constructor(options: CountersOptions) {
    this.#options = options;
  }

  bucket({ counter, algorithm, perMs }: Omit<Bucket, 'drawer'>): Bucket {
    return { counter, algorithm, perMs, drawer: this.#drawerOf(counter, algorithm, perMs) };
  }

  /** Answers each ask; charges all, or none where one is refused. */
  charge(asks: readonly QuotaAsk<Bucket>[]): readonly QuotaAnswer[] {
    const nowMs = this.#options.clock.nowMs();
    const [first] = asks;
    if (asks.length === 1 && first !== undefined && first.once === undefined) return [answerOf(this.#counterOf(first, nowMs), first, nowMs)];
    const done = asks.map((given) => (this.#wasCharged(given, nowMs) ? chargedBefore(given) : given)).map((ask) => {
      const counter = this.#counterOf(ask, nowMs);
      const { a, b, c, entries = NONE } = counter;
      return { ask, before: { a, b, c, entries }, answer: answerOf(counter, ask, nowMs) };
    });
    if (done.every(({ answer }) => answer.granted)) {
      for (const { ask } of done) if (ask.once !== undefined && ask.cost !== 0 && !isListed(ask.bucket.algorithm)) this.#markOf(ask, nowMs).a = ask.cost > 0 ? nowMs + ask.perMs : 0;
      return done.map(({ answer }) => answer);
    }
    // Looked up again: what was given back for a moment was over, and may have been swept.
    for (const { ask, before } of done.toReversed()) Object.assign(this.#counterOf(ask, nowMs), before);
    // Those that could pass say what is left, uncharged.
    return done.map(({ ask, answer }) => (answer.granted ? { ...answerOf(this.#counterOf(ask, nowMs), { ...ask, cost: 0 }, nowMs), granted: true } : answer));
  }

  reset(asks: readonly QuotaAsk<Bucket>[]): void {
    const nowMs = this.#options.clock.nowMs();
    for (const ask of asks) Object.assign(this.#counterOf(ask, nowMs), { a: 0, b: 0, c: 0, entries: NONE });
  }

  clear(): void {
    this.#shelves = [];
    this.#drawers.clear();
    this.#size = 0;
  }

  #wasCharged(ask: QuotaAsk<Bucket>, nowMs: number): boolean {
    if (ask.once === undefined || ask.release === true) return false;
    return isListed(ask.bucket.algorithm) ? isOnList(this.#counterOf(ask, nowMs).entries ?? NONE, ask.once, nowMs) : this.#markOf(ask, nowMs).a > nowMs;
  }

  /** A counter that is in use as long as nothing is charged for it again. On the shelf of `gcra`, whose counters end in any order. */
  #markOf(ask: QuotaAsk<Bucket>, nowMs: number): Placed {
    const { shelf, counters } = this.#drawerOf(markName(ask), 'gcra', ask.perMs);
    const name = markKey(ask);
    const known = counters.get(name);
    if (known !== undefined) return known;
    this.#makeRoom(nowMs);
    this.#size++;
    return shelf.add(counters, name);
  }

  #drawerOf(counter: string, algorithm: Algorithm, perMs: number): Drawer {
    const name = `${algorithm} ${perMs} ${counter}`;
    let drawer = this.#drawers.get(name);
    if (drawer === undefined) this.#drawers.set(name, drawer = { shelf: this.#shelfOf(algorithm, perMs), counters: new Map() });
    return drawer;
  }

  #shelfOf(algorithm: Algorithm, perMs: number): Shelf {
    const known = this.#shelves.find((shelf) => shelf.algorithm === algorithm && shelf.perMs === perMs);
    if (known !== undefined) return known;
    const shelf = new Shelf(algorithm, perMs);
    this.#shelves = [...this.#shelves, shelf].toSorted((one, other) => one.perMs - other.perMs);
    return shelf;
  }

  #counterOf({ bucket, key, perMs }: QuotaAsk<Bucket>, nowMs: number): Placed {
    const { shelf, counters } = (perMs === bucket.perMs ? bucket.drawer : undefined) ?? this.#drawerOf(bucket.counter, bucket.algorithm, perMs);
    const known = counters.get(key);
    if (known !== undefined) {
      if (known.a <= nowMs) shelf.toBack(known); // a new window
      return known;
    }
    this.#makeRoom(nowMs);
    this.#size++;
    return shelf.add(counters, key);
  }

  #makeRoom(nowMs: number): void {
    for (const shelf of this.#shelves) this.#size -= shelf.sweep(nowMs, SWEPT_PER_NEW_KEY);
    if (this.#size < this.#options.maxKeys) return;
    if (this.#shelves.some((shelf) => shelf.dropFirst())) {
      this.#size--;
      this.#options.onEvicted();
    }
  }
}

const answerOf = (counter: Placed, ask: QuotaAsk<Bucket>, nowMs: number): QuotaAnswer => askCounter(counter, ask.bucket.algorithm, ask, nowMs);
