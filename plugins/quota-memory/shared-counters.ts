/** The counters of one handler for several workers: one table in shared memory, exact because one worker at a time is inside. */
import { type Host, type QuotaAnswer, type QuotaAsk, SharedPlaces } from 'sluice/plugin';
import type { Bucket } from './counters.ts';
import { chargedBefore, onceKey, onceName } from './once.ts';
import { askCounter, type Counter } from './windows.ts';

/** `a`, `b` and `c` of a counter. */
const PER_PLACE = 3;

export interface SharedCountersOptions {
  readonly maxKeys: number;
  readonly host: Pick<Host, 'shared' | 'worker'> & { readonly clock: Pick<Host['clock'], 'nowMs'> };
  readonly onEvicted: () => void;
}

export class SharedCounters {
  readonly #clock: Pick<Host['clock'], 'nowMs'>;
  readonly #places: SharedPlaces;
  readonly #values: Float64Array;
  readonly #counter: Counter = { a: 0, b: 0, c: 0 };

  constructor({ maxKeys, host, onEvicted }: SharedCountersOptions) {
    this.#clock = host.clock;
    const memory = host.shared('counters', SharedPlaces.bytesFor(maxKeys, PER_PLACE));
    this.#places = new SharedPlaces({ memory, worker: host.worker.number, perPlace: PER_PLACE, onEvicted });
    this.#values = this.#places.values;
  }

  bucket({ counter, algorithm, perMs }: Omit<Bucket, 'drawer'>): Bucket {
    if (algorithm === 'log' || algorithm === 'concurrency') throw new Error(`algorithm: ${algorithm} is not counted across workers; use quota-redis, or one worker`);
    return { counter, algorithm, perMs, drawer: undefined };
  }

  /** Answers each ask; charges all, or none where one is refused. */
  charge(asks: readonly QuotaAsk<Bucket>[]): readonly QuotaAnswer[] {
    const nowMs = this.#clock.nowMs();
    return this.#places.within(() => {
      const done = asks.map((given) => {
        const ask = this.#wasCharged(given, nowMs) ? chargedBefore(given) : given;
        const at = this.#placeOf(ask, nowMs);
        const before = this.#values.slice(at, at + PER_PLACE);
        return { ask, at, before, answer: this.#ask(ask, at, nowMs) };
      });
      if (done.every(({ answer }) => answer.granted)) {
        for (const { ask } of done) if (ask.once !== undefined && ask.cost > 0) this.#values[this.#placeOf(onceOf(ask), nowMs)] = nowMs + ask.perMs;
        return done.map(({ answer }) => answer);
      }
      // What was given back for a moment was over, and a later ask may have taken its place.
      const placeNow = ({ ask, at }: { readonly ask: QuotaAsk<Bucket>; readonly at: number }): number => (done.length === 1 ? at : this.#placeOf(ask, nowMs));
      for (const one of done.toReversed()) this.#values.set(one.before, placeNow(one));
      // Those that could pass say what is left, uncharged.
      return done.map((one) => (one.answer.granted ? { ...this.#ask({ ...one.ask, cost: 0 }, placeNow(one), nowMs), granted: true } : one.answer));
    });
  }

  reset(asks: readonly QuotaAsk<Bucket>[]): void {
    const nowMs = this.#clock.nowMs();
    this.#places.within(() => {
      for (const ask of asks) {
        const at = this.#placeOf(ask, nowMs);
        this.#values.fill(0, at, at + PER_PLACE);
      }
    });
  }

  #wasCharged(ask: QuotaAsk<Bucket>, nowMs: number): boolean {
    return ask.once !== undefined && (this.#values[this.#placeOf(onceOf(ask), nowMs)] as number) > nowMs;
  }

  #ask(ask: QuotaAsk<Bucket>, at: number, nowMs: number): QuotaAnswer {
    const counter = this.#counter;
    counter.a = this.#values[at] as number;
    counter.b = this.#values[at + 1] as number;
    counter.c = this.#values[at + 2] as number;
    const answer = askCounter(counter, ask.bucket.algorithm, ask, nowMs);
    this.#values[at] = counter.a;
    this.#values[at + 1] = counter.b;
    this.#values[at + 2] = counter.c;
    return answer;
  }

  #placeOf({ bucket, key, perMs }: QuotaAsk<Bucket>, nowMs: number): number {
    return this.#places.placeOf(`${bucket.algorithm} ${perMs} ${bucket.counter} ${key}`, nowMs);
  }
}

/** As if it were a counter. */
const onceOf = (ask: QuotaAsk<Bucket>): QuotaAsk<Bucket> => ({ ...ask, bucket: { ...ask.bucket, counter: onceName(ask.bucket) }, key: onceKey(ask.key, ask.once) });
