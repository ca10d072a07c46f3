/** Adapts a store to counts of `window`s: each hit is answered with the count after it. */
import type { CounterAnswer } from '../../../src/counting/counter.ts';
import { Escrow } from '../../../src/counting/escrow.ts';
import type { Counters } from '../../../src/counting/memory/counters.ts';
import { memoryPool } from '../../../src/ratelimit/charge/memory-pool.ts';
import type { ChargeStore, CounterAsk } from '../../../src/ratelimit/charge/store.ts';

export interface CountAsk {
  /** With its window. */
  readonly key: string;
  readonly hits: number;
  readonly group?: string;
  readonly limit: number;
  readonly keptS: number;
  readonly endsAtS: number;
  readonly usedUntilS: number;
}

type Counts = readonly number[] | Promise<readonly number[]>;
type Look = Extract<CounterAsk, { readonly kind: 'look' }>;

export function lookAt({ key, group = '', limit, keptS, endsAtS, usedUntilS }: CountAsk): Look {
  const perMs = keptS * 1000;
  return {
    kind: 'look',
    bucket: { counter: group, algorithm: 'window', perMs, readForMs: (usedUntilS - endsAtS) * 1000 },
    key,
    limit,
    burst: limit,
    perMs,
    endsAtMs: endsAtS * 1000,
  };
}
const anyLimit = (key: string): Look =>
  lookAt({ key, hits: 0, limit: 2 ** 50, keptS: 60, endsAtS: 1e10, usedUntilS: 1e10 });

export class WindowCounts {
  readonly store: ChargeStore;

  constructor(store: ChargeStore) {
    this.store = store;
  }

  add(asks: readonly CountAsk[]): Counts {
    const charged = asks.map((ask): CounterAsk => ({ ...lookAt(ask), kind: 'owe', cost: ask.hits }));
    return later(this.store.spendEach?.(charged) ?? this.store.charge(charged), (answers) =>
      answers.map(({ granted, limit, used = 0 }, at) =>
        granted ? used : Math.max(limit, used) + (asks[at]?.hits ?? 0),
      ),
    );
  }

  look(keys: readonly string[]): Counts {
    return later(this.store.charge(keys.map(anyLimit)), (answers) => answers.map(({ used = 0 }) => used));
  }

  addIfAllFit(asks: readonly CountAsk[]): Counts {
    const charged = asks.map((ask): CounterAsk =>
      ask.hits === 0 ? lookAt(ask) : { ...lookAt(ask), kind: 'spend', cost: ask.hits },
    );
    return later(this.store.charge(charged), (answers) => {
      const isRefused = answers.some(({ granted }) => !granted);
      return answers.map(({ used = 0 }, at) => used + (isRefused ? (asks[at]?.hits ?? 0) : 0));
    });
  }

  giveBack(key: string, units: number): void | Promise<void> {
    return later(this.store.charge([{ ...anyLimit(key), kind: 'giveBack', cost: units }]), () => undefined);
  }

  async reset(keys: readonly string[]): Promise<void> {
    await this.store.reset(keys.map(anyLimit));
  }

  async close(): Promise<void> {}
}

const later = <R>(
  answers: readonly CounterAnswer[] | Promise<readonly CounterAnswer[]>,
  read: (answers: readonly CounterAnswer[]) => R,
): R | Promise<R> => (answers instanceof Promise ? answers.then(read) : read(answers));

export interface MemoryCountsOptions {
  readonly maxKeys: number;
  readonly nowMs: () => number;
  readonly whenFull?: 'reject' | 'evict';
  readonly onFull?: () => void;
}

/** Counts at once. */
export class MemoryCounts extends WindowCounts {
  readonly pool: Counters;
  evicted = 0;

  constructor(options: MemoryCountsOptions) {
    const pool = memoryPool({ ...options, onEvicted: () => void this.evicted++ });
    super(pool);
    this.pool = pool;
  }

  override add(asks: readonly CountAsk[]): readonly number[] {
    return super.add(asks) as readonly number[];
  }

  override look(keys: readonly string[]): readonly number[] {
    return super.look(keys) as readonly number[];
  }
}

export interface EscrowCountsOptions {
  readonly nowMs: () => number;
  readonly tell?: (key: string, units: number, forS: number) => void;
}

export class EscrowCounts extends WindowCounts {
  readonly escrow: Escrow;
  readonly counts = { taken: 0, returned: 0, stranded: 0 };

  constructor(over: WindowCounts, { nowMs, tell }: EscrowCountsOptions) {
    const escrow = new Escrow({
      store: over.store,
      nowMs,
      recordHeld: ({ key }, units, forMs) => tell?.(key, units, Math.ceil(forMs / 1000)),
      onUnits: (what, units) => {
        this.counts[what] += units;
      },
    });
    super(escrow);
    this.escrow = escrow;
  }

  get held(): number {
    return this.escrow.held;
  }

  heldOf(key: string): number {
    return this.escrow.heldOf(anyLimit(key));
  }

  forget(key: string): void {
    this.escrow.dropHeld(anyLimit(key));
  }

  giveBackIdle(): void {
    this.escrow.giveBackIdle();
  }

  override async close(): Promise<void> {
    await this.escrow.close();
  }
}
