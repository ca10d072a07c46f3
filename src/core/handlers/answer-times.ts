/** Answers kept; older ones no longer change a result. */
const REMEMBERED = 32;
/** Answers in order within this time are kept as one. */
const GRAIN_MS = 1;
/** This many calls at once are a burst. */
const BURST = 32;
/**
 * How long a backend that counts may be silent during a burst (decision 15): below Envoy's 200 ms for ext_authz, since a burst must not
 * look like an outage, which lets limits pass.
 */
export const BURST_SILENCE_MS = 150;

/**
 * When a handler answered, which tells a slow backend from a busy one. While a backend that answers in order answers earlier calls, a
 * call is not late; a call overtaken by later ones is. All times are loop time (see `TimerWheel`).
 */
export class AnswerTimes {
  /** Start of the current silence: no answer since, while calls run. */
  silentSinceMs = 0;
  /** Calls that are with the handler or queued for it. */
  pending = 0;
  readonly #burstSilenceMs: number;
  /** Orders of answered calls, and when they were answered; both ascending. */
  readonly #orders: number[] = [];
  readonly #atMs: number[] = [];

  /** `burstSilenceMs`: how long a handler that answers in order may be silent during a burst; 0 if it does not answer in order. */
  constructor(burstSilenceMs: number) {
    this.#burstSilenceMs = burstSilenceMs;
  }

  /** When silence during a burst is late: a backend reads the whole burst before it answers. 0 outside of a burst. */
  get burstLateAtMs(): number {
    return this.pending < BURST ? 0 : this.silentSinceMs + this.#burstSilenceMs;
  }

  /** When a call is late, if the backend is silent to it from `sinceMs` on. */
  lateAtMs(sinceMs: number, deadlineMs: number): number {
    return Math.max(sinceMs + deadlineMs, this.burstLateAtMs);
  }

  /** `order`: the position of the call among those sent. */
  answered(order: number, atMs: number): void {
    let last = this.#orders.length - 1;
    if (last >= 0 && (this.#orders[last] as number) <= order && atMs - (this.#atMs[last] as number) < GRAIN_MS) return;
    for (; last >= 0 && (this.#orders[last] as number) >= order; last--) {
      this.#orders.pop();
      this.#atMs.pop();
    }
    this.#orders.push(order);
    this.#atMs.push(atMs);
    if (this.#orders.length > REMEMBERED) {
      this.#orders.shift();
      this.#atMs.shift();
    }
  }

  /** When a call sent before this one was last answered; `-Infinity` if that is not known. */
  lastBefore(order: number): number {
    for (let at = this.#orders.length - 1; at >= 0; at--)
      if ((this.#orders[at] as number) < order) return this.#atMs[at] as number;
    return -Infinity;
  }
}
