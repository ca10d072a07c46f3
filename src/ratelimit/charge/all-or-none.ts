import type { CountAsk } from './store.ts';

/** Whether each counter, at what it is at before, takes all the hits that are asked of it. */
export function allFit(asks: readonly CountAsk[], before: readonly number[]): boolean {
  const sums = new Map<string, number>();
  for (const { key, hits } of asks) sums.set(key, (sums.get(key) ?? 0) + hits);
  return asks.every(({ key, limit }, at) => (before[at] ?? 0) + (sums.get(key) ?? 0) <= limit);
}
