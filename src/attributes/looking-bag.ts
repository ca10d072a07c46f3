import type { Attributes } from './attributes.ts';
import type { Bag } from './bag.ts';
import type { Value } from './values.ts';

/**
 * Notes what an evaluation depends on, so that a decision can be kept under it: two requests that agree in all that is
 * named are answered alike.
 *
 * Named as Mixer names its referenced attributes: `name`, `-name` where it was absent; of a map only the keys that were
 * looked up, `name[key]` and `-name[key]`, and `name` itself where it was gone through whole.
 */
export class LookingBag implements Bag {
  readonly #attributes: Attributes;
  readonly #below: Bag;
  readonly #looked = new Map<number, Value | undefined | LookedMap>();

  constructor(attributes: Attributes, below: Bag) {
    this.#attributes = attributes;
    this.#below = below;
  }

  get(slot: number): Value | undefined {
    if (this.#looked.has(slot)) return this.#looked.get(slot);
    const value = this.#below.get(slot);
    const looked = value instanceof Map ? new LookedMap(value as ReadonlyMap<Value, Value>) : value;
    this.#looked.set(slot, looked);
    return looked;
  }

  /** Sorted. */
  looked(): string[] {
    const names: string[] = [];
    for (const [slot, value] of this.#looked) {
      const { name } = this.#attributes.at(slot);
      if (value === undefined) names.push(`-${name}`);
      else if (!(value instanceof LookedMap)) names.push(name);
      else {
        if (value.isWhole || value.byKey.size === 0) names.push(name);
        for (const [key, isThere] of value.byKey)
          names.push(`${isThere ? '' : '-'}${name}[${String(key as string | number | bigint | boolean)}]`);
      }
    }
    return names.toSorted();
  }
}

/** A map that notes how it is read. A copy: it is made for explanations, never for a live call. */
class LookedMap extends Map<Value, Value> {
  /** Whether each key that was looked up is there. */
  readonly byKey: Map<Value, boolean>;
  isWhole: boolean;

  constructor(of: ReadonlyMap<Value, Value>) {
    super(of);
    this.byKey = new Map();
    this.isWhole = false;
  }

  override get(key: Value): Value | undefined {
    const value = super.get(key);
    this.byKey.set(key, value !== undefined);
    return value;
  }

  override has(key: Value): boolean {
    const isThere = super.has(key);
    this.byKey.set(key, isThere);
    return isThere;
  }

  override get size(): number {
    this.isWhole = true;
    return super.size;
  }

  override keys(): MapIterator<Value> {
    this.isWhole = true;
    return super.keys();
  }

  override values(): MapIterator<Value> {
    this.isWhole = true;
    return super.values();
  }

  override entries(): MapIterator<[Value, Value]> {
    this.isWhole = true;
    return super.entries();
  }

  override [Symbol.iterator](): MapIterator<[Value, Value]> {
    return this.entries();
  }

  override forEach(visit: (value: Value, key: Value, map: Map<Value, Value>) => void): void {
    this.isWhole = true;
    super.forEach(visit);
  }
}
