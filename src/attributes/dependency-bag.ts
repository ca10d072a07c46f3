import type { Attributes } from './attributes.ts';
import type { Bag } from './bag.ts';
import type { Value } from './values.ts';

/**
 * Records the attributes that an evaluation depends on: two requests that agree in them have the same value.
 *
 * They have the names of Mixer's referenced attributes: `name`, or `-name` if it was absent; for a map the keys that were
 * looked up, `name[key]` and `-name[key]`, and `name` itself if it was iterated.
 */
export class DependencyBag implements Bag {
  readonly #attributes: Attributes;
  readonly #below: Bag;
  readonly #read = new Map<number, Value | undefined | RecordingMap>();

  constructor(attributes: Attributes, below: Bag) {
    this.#attributes = attributes;
    this.#below = below;
  }

  get(slot: number): Value | undefined {
    if (this.#read.has(slot)) return this.#read.get(slot);
    const value = this.#below.get(slot);
    const recorded = value instanceof Map ? new RecordingMap(value as ReadonlyMap<Value, Value>) : value;
    this.#read.set(slot, recorded);
    return recorded;
  }

  /** Sorted. */
  dependencies(): string[] {
    const names: string[] = [];
    for (const [slot, value] of this.#read) {
      const { name } = this.#attributes.at(slot);
      if (value === undefined) names.push(`-${name}`);
      else if (!(value instanceof RecordingMap)) names.push(name);
      else {
        if (value.isWhole || value.byKey.size === 0) names.push(name);
        for (const [key, isPresent] of value.byKey)
          names.push(`${isPresent ? '' : '-'}${name}[${String(key as string | number | bigint | boolean)}]`);
      }
    }
    return names.toSorted();
  }
}

/** A map that records how it is read. It is a copy, since it is made for explanations and never for a live call. */
class RecordingMap extends Map<Value, Value> {
  /** Whether each key that was looked up is present. */
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
    const isPresent = super.has(key);
    this.byKey.set(key, isPresent);
    return isPresent;
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
