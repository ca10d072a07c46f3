import type { TimeSlice } from '../../time/time-slice.ts';

export interface OrderOfNeed<T> {
  /** Each after all that it needs. */
  readonly ordered: readonly T[];
  /** Those that need themselves, through others or not, and those that need such a one; as given. */
  readonly cyclic: readonly T[];
}

/** `needs`: by item the items that it needs, all of them keys of the map. Takes time in proportion to items and needs. */
export async function orderOfNeed<T>(needs: ReadonlyMap<T, readonly T[]>, slice: TimeSlice): Promise<OrderOfNeed<T>> {
  const missing = new Map<T, number>();
  const neededBy = new Map<T, T[]>();
  for (const [item, needed] of needs) {
    missing.set(item, needed.length);
    for (const one of needed) {
      const users = neededBy.get(one);
      if (users === undefined) neededBy.set(one, [item]);
      else users.push(item);
    }
    if (slice.isOver) await slice.next();
  }
  const ordered = [...needs.keys()].filter((item) => missing.get(item) === 0);
  for (const item of ordered) {
    for (const user of neededBy.get(item) ?? []) {
      const left = (missing.get(user) ?? 0) - 1;
      missing.set(user, left);
      if (left === 0) ordered.push(user);
    }
    if (slice.isOver) await slice.next();
  }
  return { ordered, cyclic: [...needs.keys()].filter((item) => missing.get(item) !== 0) };
}
