export type BreakerState = 'closed' | 'open' | 'half-open';

/**
 * Spares a backend that fails, and its callers the wait: after so many failures in a row it is not asked for a while;
 * then one call tries, and the others are turned away until it is known how that went.
 */
export class Breaker {
  failures: number;
  openForMs: number;
  #inARow = 0;
  /** By `performance.now()`; `undefined` while closed. */
  #triesAtMs: number | undefined;
  #isTrying = false;

  constructor(failures: number, openForMs: number) {
    this.failures = failures;
    this.openForMs = openForMs;
  }

  get state(): BreakerState {
    if (this.#triesAtMs === undefined) return 'closed';
    return this.#isTrying || performance.now() >= this.#triesAtMs ? 'half-open' : 'open';
  }

  /** Until it may be asked again. */
  get waitMs(): number {
    return this.#triesAtMs === undefined ? 0 : Math.max(0, this.#triesAtMs - performance.now());
  }

  /** Whether a call may be made now. The one that is the try must be told of by `succeeded`, `failed` or `unknown`. */
  admits(): boolean {
    if (this.#triesAtMs === undefined) return true;
    if (this.#isTrying || performance.now() < this.#triesAtMs) return false;
    this.#isTrying = true;
    return true;
  }

  succeeded(): void {
    if (this.#inARow === 0 && this.#triesAtMs === undefined) return;
    this.#inARow = 0;
    this.#triesAtMs = undefined;
    this.#isTrying = false;
  }

  failed(): void {
    this.#inARow++;
    if (!this.#isTrying && this.#inARow < this.failures) return;
    this.#isTrying = false;
    this.#triesAtMs = performance.now() + this.openForMs;
  }

  /** It ended without saying anything of the backend: its caller had gone. */
  unknown(): void {
    this.#isTrying = false;
  }
}
