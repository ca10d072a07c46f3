const PERIOD_MS = 60_000;

/** Admits one event per period, for log lines about errors that may occur in every call. */
export class Throttle {
  readonly #periodMs: number;
  readonly #nowMs: () => number;
  readonly #onRest: ((events: number) => void) | undefined;
  #admittedAtMs = -Infinity;
  #sinceAdmitted = 0;
  /** Runs while events wait for the end of the period. */
  #timer: NodeJS.Timeout | undefined;

  /** One event a minute unless `periodMs` says otherwise. `nowMs` is monotonic. */
  constructor({ periodMs = PERIOD_MS, nowMs = () => performance.now(), onRest }: ThrottleOptions = {}) {
    this.#periodMs = periodMs;
    this.#nowMs = nowMs;
    this.#onRest = onRest;
  }

  /** Events since the last admitted one, including this one; 0 if this one is not admitted. */
  admit(): number {
    this.#sinceAdmitted++;
    const nowMs = this.#nowMs();
    const leftMs = this.#admittedAtMs + this.#periodMs - nowMs;
    if (leftMs > 0) {
      if (this.#onRest !== undefined) this.#timer ??= setTimeout(() => this.end(), leftMs).unref();
      return 0;
    }
    return this.#admit(nowMs);
  }

  /** Tells `onRest` of events that were not admitted, if there are any: the period is over, or no more events are awaited. */
  end(): void {
    if (this.#timer !== undefined) this.#onRest?.(this.#admit(this.#nowMs()));
  }

  #admit(nowMs: number): number {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const events = this.#sinceAdmitted;
    this.#admittedAtMs = nowMs;
    this.#sinceAdmitted = 0;
    return events;
  }
}

export interface ThrottleOptions {
  readonly periodMs?: number;
  readonly nowMs?: () => number;
  /** Called with the number of events that were not admitted, once the period is over without an admitted one. */
  readonly onRest?: (events: number) => void;
}
