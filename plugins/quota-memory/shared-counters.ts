/** The counters of one handler for several workers: one table in shared memory, exact because one worker at a time is inside. */
import { type Host, type QuotaAnswer, type QuotaAsk, SharedLock } from 'sluice/plugin';
import type { Bucket } from './counters.ts';
import { chargedBefore, onceKey, onceName } from './once.ts';
import { askCounter, type Counter } from './windows.ts';

/** A key has its place in one set; where a set is full of counters in use, the one that ends first starts anew. */
const SET = 16;
/** The lock and the seeds of the hash, then for each counter `a`, `b` and `c`, then for each its hash (two words). */
const HEAD_BYTES = 16;
const [SEED_ONE, SEED_OTHER] = [1, 2];
/** Places beyond those asked for: sets fill unevenly. */
const SPARE = 1.5;

export interface SharedCountersOptions {
  readonly maxKeys: number;
  readonly host: Pick<Host, 'shared' | 'worker'> & { readonly clock: Pick<Host['clock'], 'nowMs'> };
  readonly onEvicted: () => void;
}

export class SharedCounters {
  readonly #clock: Pick<Host['clock'], 'nowMs'>;
  readonly #onEvicted: () => void;
  readonly #lock: SharedLock;
  readonly #head: Int32Array;
  readonly #hashes: Int32Array;
  readonly #values: Float64Array;
  readonly #sets: number;
  readonly #counter: Counter = { a: 0, b: 0, c: 0 };

  constructor({ maxKeys, host, onEvicted }: SharedCountersOptions) {
    this.#clock = host.clock;
    this.#onEvicted = onEvicted;
    this.#sets = Math.ceil(maxKeys * SPARE / SET);
    const places = this.#sets * SET;
    const memory = host.shared('counters', HEAD_BYTES + places * 32);
    this.#lock = new SharedLock(memory, host.worker.number);
    this.#head = new Int32Array(memory, 0, 4);
    this.#values = new Float64Array(memory, HEAD_BYTES, places * 3);
    this.#hashes = new Int32Array(memory, HEAD_BYTES + places * 24, places * 2);
    this.#lock.within(() => this.#seed());
  }

  bucket({ counter, algorithm, perMs }: Omit<Bucket, 'drawer'>): Bucket {
    if (algorithm === 'log' || algorithm === 'concurrency') throw new Error(`algorithm: ${algorithm} is not counted across workers; use quota-redis, or one worker`);
    return { counter, algorithm, perMs, drawer: undefined };
  }

  /** Answers each ask; charges all, or none where one is refused. */
  charge(asks: readonly QuotaAsk<Bucket>[]): readonly QuotaAnswer[] {
    const nowMs = this.#clock.nowMs();
    return this.#lock.within(() => {
      const done = asks.map((given) => {
        const ask = this.#wasCharged(given, nowMs) ? chargedBefore(given) : given;
        const place = this.#placeOf(ask, nowMs);
        const before = this.#values.slice(place * 3, place * 3 + 3);
        return { ask, place, before, answer: this.#ask(ask, place, nowMs) };
      });
      if (done.every(({ answer }) => answer.granted)) {
        for (const { ask } of done) if (ask.once !== undefined && ask.cost > 0) this.#values[this.#placeOf(onceOf(ask), nowMs) * 3] = nowMs + ask.perMs;
        return done.map(({ answer }) => answer);
      }
      for (const { place, before } of done.toReversed()) this.#values.set(before, place * 3);
      // Those that could pass say what is left, uncharged.
      return done.map(({ ask, place, answer }) => (answer.granted ? { ...this.#ask({ ...ask, cost: 0 }, place, nowMs), granted: true } : answer));
    });
  }

  reset(asks: readonly QuotaAsk<Bucket>[]): void {
    const nowMs = this.#clock.nowMs();
    this.#lock.within(() => {
      for (const ask of asks) {
        const place = this.#placeOf(ask, nowMs);
        this.#values.fill(0, place * 3, place * 3 + 3);
      }
    });
  }

  #wasCharged(ask: QuotaAsk<Bucket>, nowMs: number): boolean {
    return ask.once !== undefined && (this.#values[this.#placeOf(onceOf(ask), nowMs) * 3] as number) > nowMs;
  }

  #ask(ask: QuotaAsk<Bucket>, place: number, nowMs: number): QuotaAnswer {
    const counter = this.#counter;
    counter.a = this.#values[place * 3] as number;
    counter.b = this.#values[place * 3 + 1] as number;
    counter.c = this.#values[place * 3 + 2] as number;
    const answer = askCounter(counter, ask.bucket.algorithm, ask, nowMs);
    this.#values[place * 3] = counter.a;
    this.#values[place * 3 + 1] = counter.b;
    this.#values[place * 3 + 2] = counter.c;
    return answer;
  }

  /** Where the counter of a key stands; a new one takes an empty place, or that of one which is over. */
  #placeOf({ bucket, key, perMs }: QuotaAsk<Bucket>, nowMs: number): number {
    const text = `${bucket.algorithm} ${perMs} ${bucket.counter} ${key}`;
    const one = hash(text, this.#head[SEED_ONE] as number);
    const other = hash(text, this.#head[SEED_OTHER] as number) | 1; // 0 and 0 is an empty place
    const first = ((one >>> 0) % this.#sets) * SET;
    let taken = first;
    for (let place = first; place < first + SET; place++) {
      if (this.#hashes[place * 2] === one && this.#hashes[place * 2 + 1] === other) return place;
      if ((this.#values[place * 3] as number) < (this.#values[taken * 3] as number)) taken = place;
    }
    if ((this.#values[taken * 3] as number) > nowMs) this.#onEvicted();
    this.#hashes[taken * 2] = one;
    this.#hashes[taken * 2 + 1] = other;
    this.#values.fill(0, taken * 3, taken * 3 + 3);
    return taken;
  }

  /** Random, so that nobody outside can choose keys that share a place. The first worker does it. */
  #seed(): void {
    if (this.#head[SEED_ONE] !== 0) return;
    const [one = 1, other = 2] = crypto.getRandomValues(new Int32Array(2));
    this.#head[SEED_ONE] = one | 1;
    this.#head[SEED_OTHER] = other;
  }
}

/** As if it were a counter. */
const onceOf = (ask: QuotaAsk<Bucket>): QuotaAsk<Bucket> => ({ ...ask, bucket: { ...ask.bucket, counter: onceName(ask.bucket) }, key: onceKey(ask.key, ask.once) });

/** 32 bits of a text: MurmurHash3's mixing, a UTF-16 unit at a time. */
function hash(text: string, seed: number): number {
  let state = seed;
  for (let at = 0; at < text.length; at++) {
    let unit = Math.imul(text.charCodeAt(at), 0xcc9e2d51);
    unit = Math.imul((unit << 15) | (unit >>> 17), 0x1b873593);
    state ^= unit;
    state = Math.imul((state << 13) | (state >>> 19), 5) + 0xe6546b64;
  }
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return state ^ (state >>> 16);
}
