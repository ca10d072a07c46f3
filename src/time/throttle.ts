const PERIOD_MS = 60_000;

/** Admits one event per period, for log lines about errors that may occur in every call. */
export class Throttle {
  readonly #periodMs: number;
  readonly #nowMs: () => number;
  #admittedAtMs = -Infinity;
  #sinceAdmitted = 0;

  /** One event a minute unless `periodMs` says otherwise. `nowMs` is monotonic. */
  constructor({ periodMs = PERIOD_MS, nowMs = () => performance.now() }: ThrottleOptions = {}) {
    this.#periodMs = periodMs;
    this.#nowMs = nowMs;
  }

  /** Events since the last admitted one, including this one; 0 if this one is not admitted. */
  admit(): number {
    this.#sinceAdmitted++;
    const nowMs = this.#nowMs();
    if (nowMs - this.#admittedAtMs < this.#periodMs) return 0;
    const events = this.#sinceAdmitted;
    this.#admittedAtMs = nowMs;
    this.#sinceAdmitted = 0;
    return events;
  }
}

export interface ThrottleOptions {
  readonly periodMs?: number;
  readonly nowMs?: () => number;
}
