import type { Tracer } from '@opentelemetry/api';
import type { CountAsk, CountStore } from '../ratelimit/charge/store.ts';
import { type ActiveContext, failedBy } from './active-context.ts';

export interface StoreSpansOptions {
  readonly tracer: Tracer;
  readonly active: ActiveContext;
  readonly isPerSecond: boolean;
}

/** Adds a span with the number of commands to each round trip of a call. Work that no call awaits (giving back units) has none. */
export class TracedStore implements CountStore {
  readonly #store: CountStore;
  readonly #options: StoreSpansOptions;

  constructor(store: CountStore, options: StoreSpansOptions) {
    this.#store = store;
    this.#options = options;
  }

  get isHealthy(): boolean {
    return this.#store.isHealthy;
  }

  /** INCRBY and EXPIRE for each ask. */
  add(asks: readonly CountAsk[]): readonly number[] | Promise<readonly number[]> {
    return this.#traced(asks.length * 2, () => this.#store.add(asks));
  }

  look(keys: readonly string[]): readonly number[] | Promise<readonly number[]> {
    return this.#traced(keys.length, () => this.#store.look(keys));
  }

  /** One script. */
  addIfAllFit(asks: readonly CountAsk[]): readonly number[] | Promise<readonly number[]> {
    return this.#traced(1, () => this.#store.addIfAllFit(asks));
  }

  giveBack(key: string, units: number): void | Promise<void> {
    return this.#store.giveBack(key, units);
  }

  reset(keys: readonly string[]): Promise<void> {
    return this.#store.reset(keys);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #traced<T>(commands: number, trip: () => T | Promise<T>): T | Promise<T> {
    const { tracer, active, isPerSecond } = this.#options;
    const parent = active.get();
    if (parent === undefined) return trip();
    const attributes = {
      'pipeline length': isPerSecond ? 0 : commands,
      'perSecondPipeline length': isPerSecond ? commands : 0,
    };
    const span = tracer.startSpan('Redis Pipeline Execution', { attributes }, parent);
    return active.within(span, parent, trip, { failed: failedBy(span) });
  }
}
