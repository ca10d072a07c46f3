/** All counters of one handler, bounded. */
import type { Algorithm, Host, QuotaAnswer, QuotaAsk } from 'sluice/plugin';
import { type Placed, Shelf } from './shelf.ts';
import { chargedBefore, isListed, isLook, isOnList, markKey, markName } from './once.ts';
import { askCounter, type Counter, type Entry } from './windows.ts';

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
const BLANK: Readonly<Required<Counter>> = { a: 0, b: 0, c: 0, entries: NONE };
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
    if (asks.length === 1 && first !== undefined && first.once === undefined) return [this.#ask(first, nowMs)];
    const done = asks.map((given) => (this.#wasCharged(given, nowMs) ? chargedBefore(given) : given)).map((ask) => {
      const { a, b, c, entries = NONE } = this.#find(ask) ?? BLANK;
      return { ask, before: { a, b, c, entries }, answer: this.#ask(ask, nowMs) };
    });
    if (done.every(({ answer }) => answer.granted)) {
      for (const { ask } of done) if (ask.once !== undefined && ask.cost !== 0 && !isListed(ask.bucket.algorithm)) this.#mark(ask, nowMs);
      return done.map(({ answer }) => answer);
    }
    for (const { ask, before } of done.toReversed()) this.#restore(ask, before, nowMs);
    // Those that could pass say what is left, uncharged.
    return done.map(({ ask, answer }) => (answer.granted ? { ...this.#ask({ ...ask, cost: 0, release: false }, nowMs), granted: true } : answer));
  }

  reset(asks: readonly QuotaAsk<Bucket>[]): void {
    for (const ask of asks) Object.assign(this.#find(ask) ?? {}, BLANK);
  }

  clear(): void {
    this.#shelves = [];
    this.#drawers.clear();
    this.#size = 0;
  }

  #wasCharged(ask: QuotaAsk<Bucket>, nowMs: number): boolean {
    if (ask.once === undefined || ask.release === true) return false;
    if (isListed(ask.bucket.algorithm)) return isOnList(this.#find(ask)?.entries ?? NONE, ask.once, nowMs);
    return (this.#markDrawer(ask).counters.get(markKey(ask))?.a ?? 0) > nowMs;
  }

  /** That it was charged, or no longer is. */
  #mark(ask: QuotaAsk<Bucket>, nowMs: number): void {
    const drawer = this.#markDrawer(ask);
    const known = drawer.counters.get(markKey(ask));
    if (ask.cost > 0) (known ?? this.#add(drawer, markKey(ask), nowMs)).a = nowMs + ask.perMs;
    else if (known !== undefined) known.a = 0;
  }

  /** A mark is in use as long as nothing is charged for it again. On the shelf of `gcra`, whose counters end in any order. */
  #markDrawer(ask: QuotaAsk<Bucket>): Drawer {
    return this.#drawerOf(markName(ask), 'gcra', ask.perMs);
  }

  /** Looking changes nothing, nor does what is refused; what charges nothing makes no counter and keeps none that is over: it takes nobody's room. */
  #ask(ask: QuotaAsk<Bucket>, nowMs: number): QuotaAnswer {
    const { algorithm } = ask.bucket;
    const drawer = this.#drawerFor(ask);
    const known = drawer.counters.get(ask.key);
    if (known !== undefined && (ask.cost > 0 || known.a > nowMs)) {
      if (isLook(ask)) return askCounter({ ...known }, algorithm, ask, nowMs);
      const { a, b, c, entries } = known;
      const answer = askCounter(known, algorithm, ask, nowMs);
      if (!answer.granted) Object.assign(known, entries === undefined ? { a, b, c } : { a, b, c, entries });
      else if (a <= nowMs) drawer.shelf.toBack(known); // a new window
      return answer;
    }
    const fresh: Counter = { ...BLANK };
    const answer = askCounter(fresh, algorithm, ask, nowMs);
    if (ask.cost > 0 && answer.granted) Object.assign(this.#add(drawer, ask.key, nowMs), fresh);
    return answer;
  }

  /** To what it was. What was given back for a moment was over, and may have been swept. */
  #restore(ask: QuotaAsk<Bucket>, before: Counter, nowMs: number): void {
    const counter = this.#find(ask) ?? (before.a > nowMs ? this.#add(this.#drawerFor(ask), ask.key, nowMs) : undefined);
    if (counter !== undefined) Object.assign(counter, before);
  }

  #find(ask: QuotaAsk<Bucket>): Placed | undefined {
    return this.#drawerFor(ask).counters.get(ask.key);
  }

  #add({ shelf, counters }: Drawer, key: string, nowMs: number): Placed {
    this.#makeRoom(nowMs);
    this.#size++;
    return shelf.add(counters, key);
  }

  #drawerFor({ bucket, perMs }: QuotaAsk<Bucket>): Drawer {
    return (perMs === bucket.perMs ? bucket.drawer : undefined) ?? this.#drawerOf(bucket.counter, bucket.algorithm, perMs);
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

  #makeRoom(nowMs: number): void {
    for (const shelf of this.#shelves) this.#size -= shelf.sweep(nowMs, SWEPT_PER_NEW_KEY);
    if (this.#size < this.#options.maxKeys) return;
    if (this.#shelves.some((shelf) => shelf.dropFirst())) {
      this.#size--;
      this.#options.onEvicted();
    }
  }
}
