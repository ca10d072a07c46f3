export type BreakerState = 'closed' | 'open' | 'half-open';

/** Identifies a call to its breaker: {@link ORDINARY}, or the number of a probe. */
export type Turn = number;
const ORDINARY: Turn = 1;

export interface BreakerSpec {
  /** Consecutive failures that open the breaker. */
  readonly failures: number;
  readonly openForMs: number;
  /** Least time between the first and the last of them; failures of one burst count as one sign. */
  readonly windowMs: number;
}

/**
 * A circuit breaker: after consecutive failures over a window the backend is not called for a while; then one probe is admitted,
 * and other calls are refused until its result is known.
 */
export class Breaker {
  spec: BreakerSpec;
  #inARow = 0;
  /** First of the consecutive failures, by `performance.now()`. */
  #firstFailedAtMs = 0;
  /** When the next probe is admitted, by `performance.now()`; `undefined` while closed. */
  #triesAtMs: number | undefined;
  /** The running probe; 0: none. */
  #trying: Turn = 0;
  #lastTurn = ORDINARY;

  constructor(spec: BreakerSpec) {
    this.spec = spec;
  }

  get state(): BreakerState {
    if (this.#triesAtMs === undefined) return 'closed';
    return this.#trying !== 0 || performance.now() >= this.#triesAtMs ? 'half-open' : 'open';
  }

  /** Time until the next probe. */
  get waitMs(): number {
    return this.#triesAtMs === undefined ? 0 : Math.max(0, this.#triesAtMs - performance.now());
  }

  /** Admits a call, which must end in `succeeded`, `failed` or `unknown`. `undefined`: refused. */
  admits(): Turn | undefined {
    if (this.#triesAtMs === undefined) return ORDINARY;
    if (this.#trying !== 0 || performance.now() < this.#triesAtMs) return undefined;
    return (this.#trying = ++this.#lastTurn);
  }

  /** Whether a call that was admitted, and has waited since, may still be sent. */
  stillAdmits(turn: Turn): boolean {
    return this.#triesAtMs === undefined || turn === this.#trying;
  }

  /** Closes the breaker; returns whether it was open. */
  succeeded(): boolean {
    if (this.#inARow === 0 && this.#triesAtMs === undefined) return false;
    const wasOpen = this.#triesAtMs !== undefined;
    this.#inARow = 0;
    this.#triesAtMs = undefined;
    this.#trying = 0;
    return wasOpen;
  }

  /** Returns whether this failure opened the breaker. */
  failed(turn: Turn): boolean {
    const nowMs = performance.now();
    const { failures, openForMs, windowMs } = this.spec;
    if (this.#triesAtMs !== undefined) {
      if (turn !== this.#trying) return false; // admitted before the breaker opened
      this.#trying = 0;
      this.#triesAtMs = nowMs + openForMs;
      return false;
    }
    if (this.#inARow++ === 0) this.#firstFailedAtMs = nowMs;
    if (this.#inARow < failures || (failures > 1 && nowMs - this.#firstFailedAtMs < windowMs)) return false;
    this.#triesAtMs = nowMs + openForMs;
    return true;
  }

  /** The call proves nothing about the backend: its caller left, or it was never sent. */
  unknown(turn: Turn): void {
    if (turn === this.#trying) this.#trying = 0;
  }
}
