/** A cache with TTL, bounded in entries and bytes. Concurrent requests for one key share one lookup. */
import { hash } from 'node:crypto';

export interface CacheOptions<T> {
  readonly forMs: number;
  /** How long after that a stale answer is served while the backend is unavailable; 0: never. */
  readonly staleMs: number;
  readonly maxKeys: number;
  /** Approximate size of keys and answers; the oldest entry is evicted. */
  readonly maxBytes: number;
  /** Approximate size of an answer in bytes. */
  readonly weigh: (value: T) => number;
  /** A monotonic clock. */
  readonly nowMs: () => number;
  readonly find: (key: string) => Promise<T>;
  /** Whether a failed lookup means that the backend is unavailable, so that a stale answer is served. */
  readonly isAway: (error: unknown) => boolean;
}

interface Kept<T> {
  readonly value: T;
  readonly untilMs: number;
  readonly bytes: number;
}

/** A longer key is stored as its SHA-256; clients choose the length. */
const MAX_CHARACTERS = 128;
/** Size of an entry without key and answer. */
const OVERHEAD_BYTES = 200;

export class Cache<T> {
  readonly #options: CacheOptions<T>;
  readonly #kept = new Map<string, Kept<T>>();
  readonly #asked = new Map<string, Promise<T>>();
  #bytes = 0;

  constructor(options: CacheOptions<T>) {
    this.#options = options;
  }

  /** Approximate bytes in use. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Synchronous on a hit. */
  get(key: string): T | Promise<T> {
    const name = nameOf(key);
    const known = this.#kept.get(name);
    if (known !== undefined && known.untilMs > this.#options.nowMs()) return known.value;
    return this.#asked.get(name) ?? this.#ask(key, name, known);
  }

  #ask(key: string, name: string, known: Kept<T> | undefined): Promise<T> {
    const { find, isAway, staleMs, nowMs } = this.#options;
    const asked = find(key)
      .then(
        (value) => {
          this.#keep(name, value);
          return value;
        },
        (error: unknown) => {
          if (known !== undefined && isAway(error) && known.untilMs + staleMs > nowMs()) return known.value;
          throw error;
        },
      )
      .finally(() => this.#asked.delete(name));
    this.#asked.set(name, asked);
    return asked;
  }

  #keep(name: string, value: T): void {
    const { forMs, maxKeys, maxBytes, weigh, nowMs } = this.#options;
    if (forMs === 0) return;
    const bytes = OVERHEAD_BYTES + name.length * 2 + weigh(value);
    this.#drop(name);
    if (bytes > maxBytes) return;
    this.#kept.set(name, { value, untilMs: nowMs() + forMs, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= maxKeys && this.#bytes <= maxBytes) break;
      this.#drop(oldest);
    }
  }

  #drop(name: string): void {
    this.#bytes -= this.#kept.get(name)?.bytes ?? 0;
    this.#kept.delete(name);
  }
}

/** A key that looks like a hash is hashed too, so that keys never collide. */
const nameOf = (key: string): string =>
  key.length <= MAX_CHARACTERS && !key.startsWith('\0#')
    ? key
    : `\0#${hash('sha256', key.isWellFormed() ? key : `~${JSON.stringify(key)}`, 'base64url')}`;
