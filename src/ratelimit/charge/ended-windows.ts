import { boundedKey } from './bounded-key.ts';

/** What windows that are over came to, by the name of their counter: looked up once, kept as long as the next window lasts. */
const MOST_KEYS = 100_000;

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
    // Those that were asked for first are the first to be over.
    for (const [oldest, one] of this.#kept) {
      if (this.#kept.size <= MOST_KEYS && one.untilS > nowS) return;
      this.#kept.delete(oldest);
    }
  }
}
