/**
 * What is known of counters until a time, so that no store is asked: by default, that they are over. When it is full, the oldest entry is
 * evicted, and the store is asked again. A plain Map: lru-cache takes twice the time of a lookup, and each call makes one.
 */
export class LocalCache<V = true> {
  readonly #known = new Map<string, { readonly value: V; readonly untilS: number }>();
  readonly #maxBytes: number;
  #bytes = 0;
  hits = 0;
  lookups = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#known.size;
  }

  get(key: string, nowS: number): V | undefined {
    this.lookups++;
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    if (known.untilS <= nowS) {
      this.forget(key);
      return undefined;
    }
    this.hits++;
    return known.value;
  }

  set(key: string, value: V, untilS: number, nowS: number): void {
    if (this.#known.has(key)) return;
    this.#known.set(key, { value, untilS });
    this.#bytes += weightOf(key);
    for (const [oldest, one] of this.#known) {
      if (this.#bytes <= this.#maxBytes && one.untilS > nowS) return;
      this.forget(oldest);
    }
  }

  forget(key: string): void {
    if (this.#known.delete(key)) this.#bytes -= weightOf(key);
  }
}

const weightOf = (key: string): number => key.length + 24;
