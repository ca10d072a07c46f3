/**
 * The keys of quotas that are nearest to their limit.
 * **In**: the charges of decided calls, while somebody asks. **Out**: rows, the nearest first. **Fails**: never.
 *
 * Stores, Redis above all, cannot list keys by what is left of them, so the last charge of each key is kept, for at most {@link MAX_KEYS}
 * keys. Keeping begins with the first request and ends {@link LEASE_MS} after the last one.
 */
import { hash } from 'node:crypto';
import type { LeasePage } from '../../adapters/contract.ts';
import type { TopLimit } from '../../admin/sources.ts';
import type { RequestBag } from '../../attributes/bag.ts';
import { inspectCharge } from '../../core/dispatch/inspect-quotas.ts';
import { type CounterInspection, shownKey } from '../../core/dispatch/quota-inspection.ts';
import type { DecidedCall } from '../../core/history/observers.ts';
import { type QuotaEntry, shadowCounter } from '../../core/outcome.ts';
import type { RunningEngine } from '../../core/running-engine.ts';

const LEASE_MS = 60_000;
const MAX_KEYS = 4096;
/** Of the messages from which the keys are shown. */
const MAX_BYTES = 8 * 1024 * 1024;

interface Charged {
  readonly entry: QuotaEntry;
  readonly weight: number;
  /** Wall clock. */
  readonly atMs: number;
}

export class TopLimits {
  readonly #engine: Pick<RunningEngine, 'observe'>;
  /** By rule, counter and key; the least recently charged first. */
  readonly #charged = new Map<string, Charged>();
  #bytes = 0;
  #stop: (() => void) | undefined;
  #lease: NodeJS.Timeout | undefined;

  constructor(engine: Pick<RunningEngine, 'observe'>) {
    this.#engine = engine;
  }

  ask(limit: number): readonly TopLimit[] {
    this.#stop ??= this.#engine.observe((decided) => this.#take(decided));
    if (this.#lease === undefined) this.#lease = setTimeout(() => this.close(), LEASE_MS).unref();
    else this.#lease.refresh();
    const nowMs = Date.now();
    const open = [...this.#charged].filter(([, { entry, atMs }]) => atMs + (entry.answer?.resetMs ?? 0) > nowMs);
    return open
      .toSorted(([, a], [, b]) => leftOf(a) - leftOf(b))
      .slice(0, limit)
      .map(([name, charged]) => rowOf(name, charged, nowMs));
  }

  /** Who holds units of a key now; `undefined` for a key that is not kept. */
  async holders(id: string, leases: LeasePage): Promise<CounterInspection | undefined> {
    for (const [name, { entry }] of this.#charged) if (idOf(name) === id) return inspectCharge(entry, leases);
    return undefined;
  }

  close(): void {
    clearTimeout(this.#lease);
    this.#lease = undefined;
    this.#stop?.();
    this.#stop = undefined;
    this.#charged.clear();
    this.#bytes = 0;
  }

  #take({ quotas }: DecidedCall): void {
    if (quotas.length === 0) return;
    const atMs = Date.now();
    for (const entry of quotas) {
      if (entry.answer === undefined) continue;
      const { action, rule } = entry.outcome.prepared;
      const name = `${rule.name}\0${action.counter}\0${entry.ask.key}`;
      this.#drop(name);
      const { wire } = entry.outcome.bag as RequestBag;
      wire.keep();
      this.#charged.set(name, { entry, weight: wire.weight, atMs });
      this.#bytes += wire.weight;
    }
    for (const name of this.#charged.keys()) {
      if (this.#charged.size <= MAX_KEYS && this.#bytes <= MAX_BYTES) break;
      this.#drop(name);
    }
  }

  #drop(name: string): void {
    this.#bytes -= this.#charged.get(name)?.weight ?? 0;
    this.#charged.delete(name);
  }
}

/** From 0, nothing is left, to 1. */
const leftOf = ({ entry: { answer } }: Charged): number =>
  answer === undefined || answer.limit === 0 ? 0 : answer.remaining / answer.limit;

/** The same in all workers. */
const idOf = (name: string): string => hash('sha256', name, 'base64url').slice(0, 16);

function rowOf(name: string, { entry, atMs }: Charged, nowMs: number): TopLimit {
  const { rule, action } = entry.outcome.prepared;
  const { limit = 0, remaining = 0, resetMs = 0 } = entry.answer ?? {};
  const isLease = action.algorithm === 'concurrency';
  const endsMs = Math.max(0, Math.round(atMs + resetMs - nowMs));
  const key = shownKey(action.key, entry.outcome.bag as RequestBag);
  return {
    id: idOf(name),
    rule: rule.name,
    handler: entry.handler.spec.name,
    counter: rule.mode.kind === 'shadow' ? shadowCounter(action.counter) : action.counter,
    key: Object.fromEntries(key.map(({ source, value }) => [source, value])),
    limit,
    remaining,
    resetMs: endsMs,
    holders: isLease ? Math.max(0, limit - remaining) : null,
    atMs,
  };
}

/** Of several workers: the newest row of each key, the nearest to its limit first. */
export function mergedTop(all: readonly (readonly TopLimit[])[], limit: number): readonly TopLimit[] {
  const newest = new Map<string, TopLimit>();
  for (const row of all.flat()) {
    if ((newest.get(row.id)?.atMs ?? 0) <= row.atMs) newest.set(row.id, row);
  }
  const left = (row: TopLimit): number => (row.limit === 0 ? 0 : row.remaining / row.limit);
  return [...newest.values()].toSorted((a, b) => left(a) - left(b)).slice(0, limit);
}
