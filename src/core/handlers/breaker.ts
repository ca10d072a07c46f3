export type BreakerState = 'closed' | 'open' | 'half-open';

/** Names one call to its breaker: {@link ORDINARY}, or the number of a try. */
export type Turn = number;
const ORDINARY: Turn = 1;

export interface BreakerSpec {
  /** So many in a row, without a success between them. */
  readonly failures: number;
  readonly openForMs: number;
  /** The first and the last of them are at least so far apart: calls of one burst that fail together are one sign, not many. */
  readonly windowMs: number;
}

/**
 * Spares a backend that fails, and its callers the wait: after failures in a row over a window it is not asked for a while;
 * then one call tries, and the others are turned away until it is known how that went.
 */
export class Breaker {
  spec: BreakerSpec;
  #inARow = 0;
  /** Of the failures in a row, by `performance.now()`. */
  #firstFailedAtMs = 0;
  /** By `performance.now()`; `undefined` while closed. */
  #triesAtMs: number | undefined;
  /** The try that runs; 0: none. */
  #trying: Turn = 0;
  #lastTurn = ORDINARY;

  constructor(spec: BreakerSpec) {
    this.spec = spec;
  }

  get state(): BreakerState {
    if (this.#triesAtMs === undefined) return 'closed';
    return this.#trying !== 0 || performance.now() >= this.#triesAtMs ? 'half-open' : 'open';
  }

  /** Until it may be asked again. */
  get waitMs(): number {
    return this.#triesAtMs === undefined ? 0 : Math.max(0, this.#triesAtMs - performance.now());
  }

  /** The turn of a call that may be made now; it must be told of by `succeeded`, `failed` or `unknown`. `undefined`: it may not. */
  admits(): Turn | undefined {
    if (this.#triesAtMs === undefined) return ORDINARY;
    if (this.#trying !== 0 || performance.now() < this.#triesAtMs) return undefined;
    return (this.#trying = ++this.#lastTurn);
  }

  /** Whether it was open. */
  succeeded(): boolean {
    if (this.#inARow === 0 && this.#triesAtMs === undefined) return false;
    const wasOpen = this.#triesAtMs !== undefined;
    this.#inARow = 0;
    this.#triesAtMs = undefined;
    this.#trying = 0;
    return wasOpen;
  }

  /** Whether it opened by that. */
  failed(turn: Turn): boolean {
    const nowMs = performance.now();
    const { failures, openForMs, windowMs } = this.spec;
    if (this.#triesAtMs !== undefined) {
      if (turn !== this.#trying) return false; // it was asked before the breaker opened
      this.#trying = 0;
      this.#triesAtMs = nowMs + openForMs;
      return false;
    }
    if (this.#inARow++ === 0) this.#firstFailedAtMs = nowMs;
    if (this.#inARow < failures || (failures > 1 && nowMs - this.#firstFailedAtMs < windowMs)) return false;
    this.#triesAtMs = nowMs + openForMs;
    return true;
  }

  /** It ended without saying anything of the backend: its caller had gone, or it was never sent. */
  unknown(turn: Turn): void {
    if (turn === this.#trying) this.#trying = 0;
  }
}
