import type { KubeObject, ResourceSink } from './objects.ts';

export interface KeySinkOptions<T extends KubeObject = KubeObject> {
  /** `undefined`: the object is skipped. */
  readonly keyOf: (object: T) => string | undefined;
  readonly put: (key: string, object: T) => void;
  /** Deleted, or missing in a later list. */
  readonly remove: (key: string) => void;
  /** A list was complete. */
  readonly listed: () => void;
}

/** A sink for few objects: it keeps their keys, and removes those that a later list no longer has. */
export function keySink<T extends KubeObject>({ keyOf, put, remove, listed }: KeySinkOptions<T>): ResourceSink<T> {
  const known = new Set<string>();
  const inList = new Set<string>();
  return {
    listing: () => inList.clear(),
    put(object) {
      const key = keyOf(object);
      if (key === undefined) return;
      known.add(key);
      inList.add(key);
      put(key, object);
    },
    remove(object) {
      const key = keyOf(object);
      if (key !== undefined && known.delete(key)) remove(key);
    },
    *listed() {
      for (const key of known) {
        if (!inList.has(key)) {
          known.delete(key);
          remove(key);
        }
        yield;
      }
      listed();
    },
  };
}
