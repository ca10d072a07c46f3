/** Answers that are used again for a while. A key that is being asked for is asked once. */
export interface CacheOptions<T> {
  readonly forMs: number;
  readonly maxKeys: number;
  readonly nowMs: () => number;
  readonly find: (key: string) => Promise<T>;
}

export class Cache<T> {
  readonly #options: CacheOptions<T>;
  readonly #kept = new Map<string, { readonly value: T; readonly untilMs: number }>();
  readonly #asked = new Map<string, Promise<T>>();

  constructor(options: CacheOptions<T>) {
    this.#options = options;
  }

  /** At once where it is known. */
  get(key: string): T | Promise<T> {
    const known = this.#kept.get(key);
    if (known !== undefined && known.untilMs > this.#options.nowMs()) return known.value;
    return this.#asked.get(key) ?? this.#ask(key);
  }

  #ask(key: string): Promise<T> {
    const { forMs, maxKeys, nowMs, find } = this.#options;
    const asked = find(key).then((value) => {
      if (forMs > 0) {
        this.#kept.delete(key);
        this.#kept.set(key, { value, untilMs: nowMs() + forMs });
        for (const oldest of this.#kept.keys()) {
          if (this.#kept.size <= maxKeys) break;
          this.#kept.delete(oldest);
        }
      }
      return value;
    }).finally(() => this.#asked.delete(key));
    this.#asked.set(key, asked);
    return asked;
  }
}
