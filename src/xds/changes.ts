/**
 * What differs between two states of the resources of one type. It is found once for all proxies that go from one shared map to another.
 */
import { hash } from 'node:crypto';
import { LayeredResources, layersOf } from './layered-resources.ts';
import type { Resource, Resources } from './resource.ts';

export interface Changes {
  /** Names of those that are new, or have another version. */
  readonly changed: readonly string[];
  readonly gone: readonly string[];
}

const NO_CHANGES: Changes = { changed: [], gone: [] };

export function changesBetween(before: Resources, now: Resources): Changes {
  if (before === now) return NO_CHANGES;
  const [from, to] = [layersOf(before), layersOf(now)];
  const shared = ofMaps(from.shared, to.shared);
  if (from.own.size === 0 && to.own.size === 0) return shared;
  const own = ofMaps(from.own, to.own);
  // A name may be hidden by the other layer, or have moved to it.
  const names = new Set([...shared.changed, ...shared.gone, ...own.changed, ...own.gone]);
  if (names.size === 0) return NO_CHANGES;
  return compared(names, before, now);
}

const ofMaps = memoByPair((before: Resources, now: Resources): Changes => {
  if (before === now) return NO_CHANGES;
  const { changed } = compared(now.keys(), before, now);
  const gone = [...before.keys()].filter((name) => !now.has(name));
  return changed.length === 0 && gone.length === 0 ? NO_CHANGES : { changed, gone };
});

function compared(names: Iterable<string>, before: Resources, now: Resources): Changes {
  const changed: string[] = [];
  const gone: string[] = [];
  for (const name of names) {
    const [old, present] = [before.get(name), now.get(name)];
    if (present === undefined) {
      if (old !== undefined) gone.push(name);
    } else if (present !== old && present.version !== old?.version) changed.push(name);
  }
  return { changed, gone };
}

/** Both, where a name is in both as it is `now`. */
export function united(before: Resources, now: Resources): Resources {
  const [from, to] = [layersOf(before), layersOf(now)];
  const shared = unitedMaps(from.shared, to.shared);
  if (from.own.size === 0 && to.own.size === 0) return shared;
  // One that is own in one state and shared in the other is own, as it is now.
  const own = new Map([...from.own, ...to.own]);
  for (const name of from.own.keys()) {
    const present = to.own.get(name) ?? to.shared.get(name);
    if (present !== undefined) own.set(name, present);
  }
  return new LayeredResources(shared, own);
}

const unitedMaps = memoByPair((before: Resources, now: Resources): Resources =>
  ofMaps(before, now).gone.length === 0 ? now : new Map([...before, ...now]),
);

/** A digest of names and versions, so that a restarted control plane gives the same version to the same content. */
export function versionOf(resources: Resources): string {
  const { shared, own } = layersOf(resources);
  return own.size === 0 ? versionOfMap(shared) : digest([versionOfMap(shared), versionOfMap(own)]);
}

const versionOfMap = memo((resources: Resources): string =>
  digest([...resources.values()].flatMap(({ name, version }: Resource) => [name, version])),
);

function digest(texts: readonly string[]): string {
  let all = '';
  for (const text of texts) all += `${text.length} ${text}`;
  return hash('sha256', all, 'hex').slice(0, 16);
}

/** For as long as the key is used elsewhere. */
function memo<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    let entry = known.get(key);
    if (entry === undefined) known.set(key, (entry = { value: make(key) }));
    return entry.value;
  };
}

function memoByPair<K extends object, V>(make: (a: K, b: K) => V): (a: K, b: K) => V {
  const byFirst = memo((a: K) => memo((b: K) => make(a, b)));
  return (a, b) => byFirst(a)(b);
}
