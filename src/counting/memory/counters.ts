/** All counters of one handler, bounded. */
import { Rejected, type Algorithm, type Host, type QuotaAnswer, type QuotaAsk } from '../../adapters/contract.ts';
import { boundedKey } from '../bounded-key.ts';
import { type Placed, Shelf } from './expiry-list.ts';
import { chargedBefore, isListed, isLook, isOnList, markKey, markName } from './once.ts';
import { askCounter, type Counter, type Entry, settleAfterSetBack } from '../algorithms.ts';

/** The counters of one name, algorithm and period, by key; those that end first stand in front of the shelf. */
interface Drawer {
  readonly algorithm: Algorithm;
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
  readonly clock: Pick<Host['clock'], 'nowMs' | 'monotonicMs'>;
  /** A counter in use was forgotten for one of a name that has less than its share. */
  readonly onEvicted: () => void;
  /** There was no room for a counter. */
  readonly onFull: () => void;
}

const NONE: readonly Entry[] = [];
const BLANK: Readonly<Required<Counter>> = { a: 0, b: 0, c: 0, entries: NONE };
const SWEPT_PER_NEW_KEY = 2; // more than one, so that what is over goes faster than new keys come

export class Counters {
  readonly #options: CountersOptions;
  readonly #drawers = new Map<string, Drawer>();
  /** Where the sweep stands, which goes round all drawers. */
  #round = this.#drawers.values();
  #size = 0;
  /** Adds to the monotonic clock what makes it the time of the start: it is never set back. */
  readonly #startedAtMs: number;

  constructor(options: CountersOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.nowMs() - options.clock.monotonicMs();
  }

  get isFull(): boolean {
    return this.#size >= this.#options.maxKeys;
  }

  bucket({ counter, algorithm, perMs }: Omit<Bucket, 'drawer'>): Bucket {
    return { counter, algorithm, perMs, drawer: this.#drawerOf(counter, algorithm, perMs) };
  }

  /** Takes away what is over, looking at up to so many counters of each name. */
  sweep(most: number): void {
    for (const drawer of this.#drawers.values()) this.#sweep(drawer, most);
  }

  /** Answers each ask; charges all, or none where one is refused. */
  charge(asks: readonly QuotaAsk<Bucket>[]): readonly QuotaAnswer[] {
    const [first] = asks;
    if (asks.length === 1 && first !== undefined && first.once === undefined) return [this.#ask(first)];
    const asked = asks.map((given) => (this.#wasCharged(given) ? chargedBefore(given) : given));
    const done: { readonly ask: QuotaAsk<Bucket>; readonly before: Counter; readonly answer: QuotaAnswer }[] = [];
    try {
      for (const ask of asked) {
        const { a, b, c, entries = NONE } = this.#find(ask) ?? BLANK;
        done.push({ ask, before: { a, b, c, entries }, answer: this.#ask(ask) });
      }
    } catch (error) {
      for (const { ask, before } of done.toReversed()) this.#restore(ask, before);
      throw error;
    }
    if (done.every(({ answer }) => answer.granted)) {
      for (const { ask } of done)
        if (ask.once !== undefined && ask.cost !== 0 && !isListed(ask.bucket.algorithm)) this.#mark(ask);
      return done.map(({ answer }) => answer);
    }
    for (const { ask, before } of done.toReversed()) this.#restore(ask, before);
    // Those that could pass say what is left, uncharged.
    return done.map(({ ask, answer }) =>
      answer.granted ? { ...this.#ask({ ...ask, cost: 0, release: false }), granted: true } : answer,
    );
  }

  reset(asks: readonly QuotaAsk<Bucket>[]): void {
    for (const ask of asks) Object.assign(this.#find(ask) ?? {}, BLANK);
  }

  clear(): void {
    this.#drawers.clear();
    this.#size = 0;
  }

  /** Windows stand where the calendar has them; what lasts for a while after it was charged is not to last longer where the clock is set back. */
  #nowMs(algorithm: Algorithm): number {
    const { clock } = this.#options;
    return algorithm === 'fixed' || algorithm === 'sliding' ? clock.nowMs() : this.#startedAtMs + clock.monotonicMs();
  }

  #wasCharged(ask: QuotaAsk<Bucket>): boolean {
    if (ask.once === undefined || ask.release === true) return false;
    if (isListed(ask.bucket.algorithm))
      return isOnList(this.#find(ask)?.entries ?? NONE, boundedKey(ask.once), this.#nowMs(ask.bucket.algorithm));
    const drawer = this.#markDrawer(ask);
    return (drawer.counters.get(markKey(ask))?.a ?? 0) > this.#nowMs(drawer.algorithm);
  }

  /** That it was charged, or no longer is. Where there is no room, it is charged again when it comes again. */
  #mark(ask: QuotaAsk<Bucket>): void {
    const drawer = this.#markDrawer(ask);
    const known = drawer.counters.get(markKey(ask));
    if (ask.cost > 0) {
      const mark = known ?? this.#add(drawer, markKey(ask));
      if (mark !== undefined) mark.a = this.#nowMs(drawer.algorithm) + ask.perMs;
    } else if (known !== undefined) known.a = 0;
  }

  /** A mark is in use as long as nothing is charged for it again. Kept like a counter of `gcra`, which ends at any time. */
  #markDrawer(ask: QuotaAsk<Bucket>): Drawer {
    return this.#drawerOf(markName(ask), 'gcra', ask.perMs);
  }

  /**
   * Looking changes nothing, nor does what is refused; what charges nothing makes no counter and keeps none that is over: it takes nobody's
   * room. Throws {@link Rejected} where there is no room for a new counter.
   */
  #ask(ask: QuotaAsk<Bucket>): QuotaAnswer {
    const { algorithm } = ask.bucket;
    const nowMs = this.#nowMs(algorithm);
    const drawer = this.#drawerFor(ask);
    const key = boundedKey(ask.key);
    const who = ask.once === undefined ? undefined : boundedKey(ask.once);
    const known = drawer.counters.get(key);
    if (known !== undefined && (ask.cost > 0 || known.a > nowMs)) {
      settleAfterSetBack(known, algorithm, ask, nowMs);
      if (isLook(ask)) return askCounter({ ...known }, algorithm, ask, nowMs, who);
      const { a, b, c, entries } = known;
      const answer = askCounter(known, algorithm, ask, nowMs, who);
      if (!answer.granted) Object.assign(known, entries === undefined ? { a, b, c } : { a, b, c, entries });
      else if (a <= nowMs) drawer.shelf.toBack(known); // a new window
      return answer;
    }
    const fresh: Counter = { ...BLANK };
    const answer = askCounter(fresh, algorithm, ask, nowMs, who);
    if (ask.cost > 0 && answer.granted) {
      const added = this.#add(drawer, key);
      if (added === undefined)
        throw new Rejected(`no room for another counter: ${this.#options.maxKeys} are in use (maxKeys)`);
      Object.assign(added, fresh);
    }
    return answer;
  }

  /** To what it was. What was given back for a moment was over, and may have been swept. */
  #restore(ask: QuotaAsk<Bucket>, before: Counter): void {
    const counter =
      this.#find(ask) ??
      (before.a > this.#nowMs(ask.bucket.algorithm) ? this.#add(this.#drawerFor(ask), boundedKey(ask.key)) : undefined);
    if (counter !== undefined) Object.assign(counter, before);
  }

  #find(ask: QuotaAsk<Bucket>): Placed | undefined {
    return this.#drawerFor(ask).counters.get(boundedKey(ask.key));
  }

  #add(drawer: Drawer, key: string): Placed | undefined {
    if (!this.#makeRoom(drawer)) {
      this.#options.onFull();
      return undefined;
    }
    this.#size++;
    return drawer.shelf.add(drawer.counters, key);
  }

  #drawerFor({ bucket, perMs }: QuotaAsk<Bucket>): Drawer {
    return (
      (perMs === bucket.perMs ? bucket.drawer : undefined) ?? this.#drawerOf(bucket.counter, bucket.algorithm, perMs)
    );
  }

  #drawerOf(counter: string, algorithm: Algorithm, perMs: number): Drawer {
    const name = `${algorithm} ${perMs} ${counter}`;
    let drawer = this.#drawers.get(name);
    if (drawer === undefined)
      this.#drawers.set(name, (drawer = { algorithm, shelf: new Shelf(algorithm), counters: new Map() }));
    return drawer;
  }

  #sweep({ algorithm, shelf }: Drawer, most: number): void {
    this.#size -= shelf.sweep(this.#nowMs(algorithm), most);
  }

  #nextInRound(): Drawer | undefined {
    let next = this.#round.next();
    if (next.done === true) next = (this.#round = this.#drawers.values()).next();
    return next.value;
  }

  /** Nobody pushes another name's counters out: where all are in use, one of the name that has most goes for one that has less than its share. */
  #makeRoom(drawer: Drawer): boolean {
    this.#sweep(drawer, SWEPT_PER_NEW_KEY);
    const other = this.#nextInRound();
    if (other !== undefined && other !== drawer) this.#sweep(other, SWEPT_PER_NEW_KEY);
    if (!this.isFull) return true;
    let [names, largest] = [drawer.counters.size === 0 ? 1 : 0, drawer];
    for (const one of this.#drawers.values()) {
      if (one.counters.size > 0) names++;
      if (one.counters.size > largest.counters.size) largest = one;
    }
    if (drawer.counters.size >= Math.floor(this.#options.maxKeys / names) || largest === drawer) return false;
    largest.shelf.dropFirst();
    this.#size--;
    this.#options.onEvicted();
    return true;
  }
}
