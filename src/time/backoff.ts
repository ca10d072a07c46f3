/** Exponential back-off with jitter, after client-go: 0.8 s, doubled up to 30 s. */
export interface BackoffOptions {
  readonly firstMs?: number;
  readonly mostMs?: number;
  /** From 0 to 1. */
  readonly random?: () => number;
}

export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  readonly #random: () => number;
  #nextMs: number;

  constructor({ firstMs = 800, mostMs = 30_000, random = Math.random }: BackoffOptions = {}) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
    this.#random = random;
    this.#nextMs = firstMs;
  }

  /** The next pause, between half and all of its nominal length, and at least `leastMs`. */
  next(leastMs = 0): number {
    const ms = this.#nextMs * (0.5 + this.#random() / 2);
    this.#nextMs = Math.min(this.#mostMs, this.#nextMs * 2);
    return Math.max(ms, Math.min(leastMs, MAX_RETRY_AFTER_MS) * (1 + this.#random() / 10));
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}

/** A server that asks for more (Retry-After) is asked again earlier: it may have been restarted. */
const MAX_RETRY_AFTER_MS = 120_000;
