import type { TimeSlice } from '../../time/time-slice.ts';

/** Starts work on all items, some in each slice; it goes on at the same time. A rejection while others start is the caller's to handle. */
export async function startInSlices<T, R>(
  items: Iterable<T>,
  work: (item: T) => Promise<R>,
  slice: TimeSlice,
): Promise<readonly Promise<R>[]> {
  const started: Promise<R>[] = [];
  for (const item of items) {
    const working = work(item);
    working.catch(() => undefined);
    started.push(working);
    await Promise.resolve(); // what was started goes on, within this slice
    if (slice.isOver) await slice.next();
  }
  return started;
}
