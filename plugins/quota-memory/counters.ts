/**
 * All counters of one handler, bounded. Counters of one algorithm and period stand on one shelf, in the order in which
 * their windows end, so that what is over is found at the front.
 */
import type { Algorithm, Host, QuotaAnswer, QuotaAsk } from 'sluice/plugin';
import { askFixed, askGcra, type Counter } from './windows.ts';

export interface Bucket {
  readonly counter: string;
  readonly algorithm: Algorithm;
  readonly perMs: number;
}

export interface CountersOptions {
  readonly maxKeys: number;
  readonly clock: Host['clock'];
  readonly onEvicted: () => void;
}

export interface Counters {
  /** Answers each ask; charges all, or none where one is refused. */
  charge(asks: readonly QuotaAsk<Bucket>[]): readonly QuotaAnswer[];
  readonly size: number;
  clear(): void;
}

interface Shelf {
  readonly algorithm: Algorithm;
  readonly perMs: number;
  readonly counters: Map<string, Counter>;
}

const SWEPT_PER_NEW_KEY = 2; // more than one, so that what is over goes faster than new keys come

export function openCounters({ maxKeys, clock, onEvicted }: CountersOptions): Counters {
  /** In order of period: where all are in use, the shortest loses least. */
  let shelves: Shelf[] = [];
  let size = 0;

  function shelfFor(algorithm: Algorithm, perMs: number): Shelf {
    for (const shelf of shelves) if (shelf.perMs === perMs && shelf.algorithm === algorithm) return shelf;
    const shelf: Shelf = { algorithm, perMs, counters: new Map() };
    shelves = [...shelves, shelf].toSorted((a, b) => a.perMs - b.perMs);
    return shelf;
  }

  /** Takes up to `most` counters that are over from the front of a shelf. */
  function sweep({ algorithm, counters }: Shelf, nowMs: number, most: number): void {
    let looked = 0;
    for (const [key, counter] of counters) {
      if (looked++ === most) return;
      if (counter.a <= nowMs) {
        counters.delete(key);
        size--;
      } else if (algorithm === 'fixed') {
        return; // those behind end no earlier
      } else {
        counters.delete(key); // one in steady use must not hide those behind it
        counters.set(key, counter);
      }
    }
  }

  function makeRoom(nowMs: number): void {
    for (const shelf of shelves) sweep(shelf, nowMs, SWEPT_PER_NEW_KEY);
    if (size < maxKeys) return;
    for (const { counters } of shelves) {
      const oldest = counters.keys().next();
      if (oldest.done === true) continue;
      counters.delete(oldest.value);
      size--;
      onEvicted();
      return;
    }
  }

  function counterFor({ bucket, key, perMs }: QuotaAsk<Bucket>, nowMs: number): Counter {
    const { counters } = shelfFor(bucket.algorithm, perMs);
    const full = `${bucket.counter}\n${key}`; // a counter's name has no line end, so unlike pairs make unlike texts
    const known = counters.get(full);
    if (known !== undefined) {
      if (known.a <= nowMs) { // a new window: to the back
        counters.delete(full);
        counters.set(full, known);
      }
      return known;
    }
    makeRoom(nowMs);
    const counter: Counter = { a: 0, b: 0 };
    counters.set(full, counter);
    size++;
    return counter;
  }

  const ask = (counter: Counter, one: QuotaAsk<Bucket>, nowMs: number): QuotaAnswer =>
    (one.bucket.algorithm === 'gcra' ? askGcra : askFixed)(counter, one, nowMs);

  function chargeSeveral(asks: readonly QuotaAsk<Bucket>[], nowMs: number): readonly QuotaAnswer[] {
    const done = asks.map((one) => {
      const counter = counterFor(one, nowMs);
      const { a, b } = counter;
      return { one, counter, a, b, answer: ask(counter, one, nowMs) };
    });
    if (done.every(({ answer }) => answer.granted)) return done.map(({ answer }) => answer);
    for (const { counter, a, b } of done.toReversed()) Object.assign(counter, { a, b });
    // Those that could pass say what is left, uncharged.
    return done.map(({ one, counter, answer }) => (answer.granted ? { ...ask(counter, { ...one, cost: 0 }, nowMs), granted: true } : answer));
  }

  return {
    charge(asks) {
      const nowMs = clock.nowMs();
      const [first] = asks;
      if (asks.length === 1 && first !== undefined) return [ask(counterFor(first, nowMs), first, nowMs)];
      return chargeSeveral(asks, nowMs);
    },
    get size() {
      return size;
    },
    clear() {
      shelves = [];
      size = 0;
    },
  };
}
