/** Listeners and tables of routes that lead to clusters which a proxy has refused, and has in no older version. */
import type { Resources } from './resource.ts';
import { NOTHING } from './subscription.ts';
import { LISTENER, ROUTES } from './type-urls.ts';

type ByType = ReadonlyMap<string, Resources>;

/** The newest, but for those that lead to one of the clusters `missing`: these as they are shown. */
export function heldBack(missing: ReadonlySet<string>, shown: ByType, newest: ByType): ByType {
  if (missing.size === 0) return newest;
  const held = new Map(newest);
  for (const typeUrl of [LISTENER, ROUTES]) {
    const [old, now] = [shown.get(typeUrl) ?? NOTHING, newest.get(typeUrl) ?? NOTHING];
    const changed = new Map(now);
    for (const [name, { version, value }] of now) {
      const known = old.get(name);
      if (known === undefined || known.version === version) continue;
      // The bytes of a message have names as they are.
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
      if ([...missing].some((cluster) => bytes.includes(cluster))) changed.set(name, known);
    }
    held.set(typeUrl, changed);
  }
  return held;
}
