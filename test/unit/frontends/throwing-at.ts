/** A deep proxy of a value that throws at the nth property access. */

export class Thrown extends Error {}

export interface Looks {
  /** Accesses left before one throws. */
  left: number;
}

/** The same value has the same proxy, so that caches by identity still work. */
export function throwingAt<T extends object>(value: T, looks: Looks, known = new WeakMap<object, object>()): T {
  const before = known.get(value);
  if (before !== undefined) return before as T;
  const proxy = new Proxy(value, {
    get(target, name): unknown {
      if (looks.left-- <= 0) throw new Thrown(`looked at ${String(name)}`);
      const found: unknown = Reflect.get(target, name, target);
      if (typeof found === 'function')
        return (found as (...args: unknown[]) => unknown).bind(throwingAt(target, looks, known));
      return typeof found === 'object' && found !== null ? throwingAt(found, looks, known) : found;
    },
  });
  known.set(value, proxy);
  return proxy;
}
