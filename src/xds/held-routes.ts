/** Listeners and tables of routes that lead to clusters which a proxy has refused or not accepted, and has in no older version. */
import type { Resource, Resources } from './resource.ts';
import { NOTHING } from './subscription.ts';
import { LISTENER, ROUTES } from './type-urls.ts';

type ByType = ReadonlyMap<string, Resources>;

/** Clusters that a proxy has in no version. */
export class MissingClusters {
  readonly #refused = new Set<string>();

  /** `before`: those that it had before the push that it answered. */
  now(refused: ReadonlySet<string>, before: Resources, cold: readonly Pick<Resource, 'name'>[]): ReadonlySet<string> {
    for (const name of this.#refused) if (!refused.has(name)) this.#refused.delete(name);
    for (const name of refused) if (!before.has(name)) this.#refused.add(name);
    return new Set([...this.#refused, ...cold.map(({ name }) => name)]);
  }
}

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
