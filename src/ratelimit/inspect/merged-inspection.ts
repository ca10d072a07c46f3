import { allHolders } from '../../counting/store.ts';
import type { Inspection } from './inspector.ts';

/**
 * Merges the inspections of one counter by several worker threads. Each subtracts only the units that it holds itself, so they are added
 * back before the sum is subtracted. All workers appear as one `replica`.
 */
export function mergedInspection(
  [first, ...others]: readonly [Inspection, ...Inspection[]],
  replica: string,
): Inspection {
  const merged = mergedLimit([first, ...others], replica);
  const also = first.also?.map((one, at) =>
    mergedLimit([one, ...others.flatMap((other) => other.also?.[at] ?? [])], replica),
  );
  return also === undefined ? merged : { ...merged, also };
}

function mergedLimit([first, ...others]: readonly [Inspection, ...Inspection[]], replica: string): Inspection {
  const { count, limit } = first;
  if (count === undefined || limit === undefined) return first;
  const all = [first, ...others];
  const heldHere = all.reduce((sum, one) => sum + (one.heldHere ?? 0), 0);
  if (heldHere === 0) return first;
  const taken = Math.min(...all.map((one) => (one.count ?? 0) + (one.heldHere ?? 0)));
  const elsewhere = (first.holders ?? []).filter(({ who }) => who !== replica);
  return {
    ...first,
    count: taken - heldHere,
    heldHere,
    holders: allHolders({ who: replica, units: heldHere }, elsewhere),
    remaining: Math.max(0, limit.requestsPerUnit - (taken - heldHere)),
  };
}
