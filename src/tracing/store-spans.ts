import type { Tracer } from '@opentelemetry/api';
import type { ChargeStore, CounterAsk } from '../ratelimit/charge/store.ts';
import { type ActiveContext, failedBy } from './active-context.ts';

export interface StoreSpansOptions {
  readonly tracer: Tracer;
  readonly active: ActiveContext;
  readonly isPerSecond: boolean;
}

/** Adds a span with the number of commands to each round trip of a call. Background work (returning units) has none. */
export class TracedStore implements ChargeStore {
  readonly #store: ChargeStore;
  readonly #options: StoreSpansOptions;

  constructor(store: ChargeStore, options: StoreSpansOptions) {
    this.#store = store;
    this.#options = options;
  }

  charge(asks: readonly CounterAsk[]): ReturnType<ChargeStore['charge']> {
    if (asks.every(({ kind }) => kind === 'giveBack')) return this.#store.charge(asks);
    return this.#traced(commandsOf(asks), () => this.#store.charge(asks));
  }

  reset(asks: readonly CounterAsk[]): void | Promise<void> {
    return this.#store.reset(asks);
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

/** INCRBY and EXPIRE for hits of a window, GET to read one; otherwise one script. */
function commandsOf(asks: readonly CounterAsk[]): number {
  const isOfWindow = ({ bucket }: CounterAsk): boolean => bucket.algorithm === 'window';
  if (asks.every((ask) => isOfWindow(ask) && (ask.kind === 'owe' || (ask.kind === 'spend' && ask.partial === true))))
    return asks.length * 2;
  return asks.every((ask) => isOfWindow(ask) && ask.kind === 'look') ? asks.length : 1;
}
