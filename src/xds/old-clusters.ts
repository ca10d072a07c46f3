/** Clusters that a proxy keeps of earlier states, since its routes may lead there: without a bound, one more with each change. */
import type { Resources } from './resource.ts';

/** Beside those of the newest state, and of the last one whose routes the proxy has accepted. */
const MAX_OLD = 100;

/** `before` without the oldest that are in neither state, if they are too many. */
export function boundedOld(before: Resources, now: Resources, routed: Resources): Resources {
  if (before.size <= now.size + MAX_OLD) return before;
  const old = [...before.keys()].filter((name) => !now.has(name) && !routed.has(name));
  if (old.length <= MAX_OLD) return before;
  const kept = new Map(before);
  for (const name of old.slice(0, -MAX_OLD)) kept.delete(name);
  return kept;
}
