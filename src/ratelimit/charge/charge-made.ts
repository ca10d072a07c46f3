import type { CountedLimit } from '../walk/limit-found.ts';
import type { CounterAsk } from './store.ts';

/** What charging a limit came to. */
export type ChargeMade = Readonly<Pick<Charge, 'found' | 'capacity' | 'count' | 'isCachedOver' | 'resetS'>>;

/** A charge while it is made; only this folder writes it. */
export class Charge {
  readonly found: CountedLimit;
  /** Over by the local cache; no store was asked. */
  readonly isCachedOver: boolean;
  hits: number;
  /** What the counter may reach in this call: less than the limit's capacity where a sliding limit still counts the previous window. */
  capacity: number;
  /** The counter with this call; beyond the capacity where the limit is over. */
  count = 0;
  /** Seconds, as the algorithm says; `undefined`: until the window ends. */
  resetS: number | undefined = undefined;

  constructor(found: CountedLimit, isCachedOver: boolean) {
    this.found = found;
    this.isCachedOver = isCachedOver;
    this.hits = found.hits;
    this.capacity = found.capacity;
  }

  get isOver(): boolean {
    return this.count > this.capacity;
  }

  /** Whether the request is refused where this limit is over. */
  get stops(): boolean {
    return !this.found.isShadow && !this.found.isQuota;
  }
}

export const isOfWindow = ({ found }: Charge): boolean => found.kind === 'window';
export const isOfAlgorithm = ({ found }: Charge): boolean => found.kind === 'algorithm';

/** The ask of the walk, unless this call charges or allows less of a window. */
export function askOf({ found: { ask }, hits, capacity }: Charge): CounterAsk {
  if (ask.kind !== 'owe' || (ask.cost === hits && ask.limit === capacity)) return ask;
  return { ...ask, cost: hits, limit: capacity };
}
