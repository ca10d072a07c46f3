/**
 * Counters that are over, so that the store is not asked again in their window. When it is full, the oldest entry is evicted; the store
 * is asked again for that one. A plain Map: lru-cache takes twice the time of a lookup, and each call makes one.
 */
export class LocalCache {
  readonly #overUntilS = new Map<string, number>();
  readonly #maxBytes: number;
  #bytes = 0;
  hits = 0;
  lookups = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#overUntilS.size;
  }

  isOver(key: string, nowS: number): boolean {
    this.lookups++;
    const untilS = this.#overUntilS.get(key);
    if (untilS === undefined) return false;
    if (untilS > nowS) {
      this.hits++;
      return true;
    }
    this.#drop(key);
    return false;
  }

  markOver(key: string, untilS: number): void {
    if (this.#overUntilS.has(key)) return;
    this.#overUntilS.set(key, untilS);
    this.#bytes += weightOf(key);
    for (const oldest of this.#overUntilS.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#drop(oldest);
    }
  }

  forget(key: string): void {
    if (this.#overUntilS.has(key)) this.#drop(key);
  }

  #drop(key: string): void {
    this.#overUntilS.delete(key);
    this.#bytes -= weightOf(key);
  }
}

const weightOf = (key: string): number => key.length + 24;
