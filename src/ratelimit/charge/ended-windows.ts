import { boundedKey } from '../../counting/bounded-key.ts';

const MAX_KEYS = 100_000;

/**
 * Final counts of ended windows by the name of their counter: looked up once, kept while the next window lasts. A plain Map, as in
 * local-cache.ts: each call of a sliding limit reads it.
 */
export class EndedWindows {
  readonly #kept = new Map<string, { readonly count: number; readonly untilS: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  has(key: string): boolean {
    return this.#kept.has(boundedKey(key));
  }

  get(key: string): number | undefined {
    return this.#kept.get(boundedKey(key))?.count;
  }

  set(key: string, count: number, untilS: number): void {
    this.#kept.set(boundedKey(key), { count, untilS });
    const nowS = this.#nowMs() / 1000;
    // The oldest entries expire first.
    for (const [oldest, one] of this.#kept) {
      if (this.#kept.size <= MAX_KEYS && one.untilS > nowS) return;
      this.#kept.delete(oldest);
    }
  }
}
