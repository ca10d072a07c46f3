/**
 * The leases of a counter of `concurrency`, for operators.
 * **In**: its entries in the order in which they were taken, a page. **Out**: the leases of the page, and how many there are. **Fails**:
 * never.
 */
import type { LeasePage, QuotaPlace } from '../adapters/contract.ts';
import { lasts } from './algorithms.ts';
import type { Entry } from './counter.ts';

/** Whether a look asks for leases, and the counter has some. */
export const listsLeases = (algorithm: string, page: LeasePage | undefined): page is LeasePage =>
  page !== undefined && algorithm === 'concurrency';

/** `idOf` is asked for the leases of the page alone. */
export function leasePage<E extends Entry>(
  entries: readonly E[],
  { from, count }: LeasePage,
  perMs: number,
  nowMs: number,
  idOf: (entry: E) => string | undefined,
): Pick<QuotaPlace, 'leases' | 'leaseCount'> {
  const held = entries.filter((entry) => lasts(entry, nowMs, perMs));
  const leases = held.slice(from, from + count).map((entry) => ({
    id: idOf(entry),
    units: entry.cost,
    heldMs: Math.max(0, nowMs + perMs - entry.untilMs),
    endsInMs: entry.untilMs - nowMs,
  }));
  return { leases, leaseCount: held.length };
}
