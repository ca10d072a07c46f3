/** Units of one counter that are held here, and what may be done with them. */
import type { QuotaAsk } from '../adapters/contract.ts';
import { changeOf, lookOf } from './ask.ts';
import type { BucketSpec } from './store.ts';

/** Of a key under which units are held, so that a lease takes at most 2 KB. */
const MAX_CHARACTERS = 512;
/** Of a lease that has taken nothing yet. */
export const NEVER = -Infinity;

export interface EscrowBucket extends BucketSpec {
  /** By key. A bucket without is charged ask by ask; leases of `window`s are found by the key alone. */
  readonly leases?: Map<string, Lease>;
}

type Ask = QuotaAsk<EscrowBucket>;

/** What is held here of one counter. */
export interface Lease {
  /** What units are taken with; its verb and cost say nothing. */
  ask: QuotaAsk<EscrowBucket>;
  /** Charged and not spent. */
  held: number;
  /** Of the counter, when it was last asked; and when it said that it is full again. */
  left: number;
  resetAtMs: number;
  /** End of the window that the units were charged to. */
  endsAtMs: number;
  /** When the oldest unit was taken. */
  heldSinceMs: number;
  spendableUntilMs: number;
  chunk: number;
  takenAtMs: number;
  spentAtMs: number;
  /** Until then, what is not held is refused. */
  fullUntilMs: number;
  /** Units that asks wait for. */
  wanted: number;
  taking: Promise<void> | undefined;
  /** Units that operators were last told of. */
  told: number;
}

export const newLease = (ask: Ask, nowMs: number): Lease => ({
  ask,
  held: 0,
  left: ask.limit,
  resetAtMs: nowMs,
  endsAtMs: 0,
  heldSinceMs: nowMs,
  spendableUntilMs: Infinity,
  chunk: 1,
  takenAtMs: NEVER,
  spentAtMs: nowMs,
  fullUntilMs: NEVER,
  wanted: 0,
  taking: undefined,
  told: 0,
});

export const windowLeftMs = ({ ask: { endsAtMs = Infinity } }: Lease, nowMs: number): number => endsAtMs - nowMs;

export const isOfWindow = ({ bucket }: Ask): boolean => bucket.algorithm === 'window';
export const isCount = (ask: Ask): boolean => ask.kind === 'owe' && isOfWindow(ask);
export const asSpend = (ask: Ask): Ask =>
  ask.kind === 'owe' && ask.cost > 0 ? { ...lookOf(ask), kind: 'spend', cost: ask.cost } : lookOf(ask);
export const isHeld = ({ held, left }: Lease, cost: number): boolean => held >= cost && left + held >= cost;
export const canSpend = (leases: readonly Lease[], asks: readonly Ask[]): boolean =>
  leases.every((lease, at) => isHeld(lease, changeOf(asks[at] as Ask)));

/** Partial, repeated or late charges, long keys and periods that the request brings go to the store; and a look tells the truth. */
export function isForEscrow(ask: Ask): boolean {
  const { bucket, key, perMs, idempotencyKey } = ask;
  const { algorithm } = bucket;
  return (
    (isCount(ask) || (ask.kind === 'spend' && ask.partial !== true)) &&
    key.length <= MAX_CHARACTERS &&
    idempotencyKey === undefined &&
    perMs === bucket.perMs &&
    algorithm !== 'log' &&
    algorithm !== 'concurrency'
  );
}

export function isRefused(lease: Lease, cost: number, nowMs: number): boolean {
  if (isHeld(lease, cost)) return false;
  return lease.fullUntilMs > nowMs || (isOfWindow(lease.ask) && (cost > lease.ask.limit || lease.held >= cost));
}

/**
 * A bucket of `gcra` fills while its units are held. What has come since they were taken may have been lost to a full bucket, and cannot be
 * given back.
 */
export function returnable({ ask: { bucket, limit, perMs }, held, heldSinceMs }: Lease, nowMs: number): number {
  return bucket.algorithm === 'gcra' ? Math.max(0, Math.floor(held - ((nowMs - heldSinceMs) * limit) / perMs)) : held;
}
