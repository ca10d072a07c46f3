import type { Log, LogFields } from './contract.ts';

const PERIOD_MS = 60_000;

interface Line {
  readonly message: string;
  readonly more: (() => LogFields) | undefined;
}

/**
 * Logs that a backend stopped answering and that it answers again.
 * While it flaps, at most one warning a minute is logged; recovery is logged only after a logged warning. Outages that were not logged are
 * when the minute is over: one warning with their number, `outages`, and the recovery if they are over.
 * `why` must not hold secrets: it is logged as it is.
 */
export class OutageLog {
  readonly #log: Log;
  readonly #fields: LogFields;
  readonly #nowMs: () => number;
  #isDown = false;
  #isLogged = false;
  #downSinceMs = 0;
  #loggedAtMs = -Infinity;
  /** Of this outage, and of those before it that are not logged; `overMs`: how long the latter were. */
  #failures = 0;
  #outages = 0;
  #overMs = 0;
  #failed: (Line & { readonly why: string }) | undefined;
  #recovered: Line | undefined;
  /** Runs while an outage is not logged. */
  #timer: NodeJS.Timeout | undefined;

  /** `fields` name the backend on each line; `nowMs` is monotonic. */
  constructor(log: Log, fields: LogFields, nowMs: () => number = () => performance.now()) {
    this.#log = log;
    this.#fields = fields;
    this.#nowMs = nowMs;
  }

  /** It has stopped; why is not known yet, and nothing is logged. */
  began(): void {
    if (this.#isDown) return;
    if (this.#timer === undefined) this.#outages = this.#failures = this.#overMs = 0;
    this.#outages++;
    this.#isDown = true;
    this.#isLogged = false;
    this.#downSinceMs = this.#nowMs();
  }

  /** `more`: fields that are read if a line is written. Returns whether one is, now. */
  failed(message: string, why: string, more?: () => LogFields): boolean {
    this.began();
    this.#failures++;
    this.#failed = { message, why, more };
    const leftMs = this.#loggedAtMs + PERIOD_MS - this.#nowMs();
    if (leftMs <= 0) {
      this.#write();
      return true;
    }
    if (!this.#isLogged) this.#timer ??= setTimeout(() => this.#write(), leftMs).unref();
    return false;
  }

  /** Cheap while the backend is up: it is called for each answer. */
  succeeded(message: string, more?: () => LogFields): void {
    if (!this.#isDown) return;
    const downMs = this.#downMs;
    this.#isDown = false;
    this.#overMs = downMs;
    this.#recovered = { message, more };
    if (this.#isLogged) this.#writeRecovery();
  }

  get #downMs(): number {
    return this.#overMs + (this.#isDown ? this.#nowMs() - this.#downSinceMs : 0);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#loggedAtMs = this.#nowMs();
    this.#isLogged = true;
    const { message = '', why, more } = this.#failed ?? {};
    this.#log.warn(message, { ...this.#fields, why, ...this.#counts, ...more?.() });
    if (!this.#isDown) this.#writeRecovery();
  }

  #writeRecovery(): void {
    const { message = '', more } = this.#recovered ?? {};
    this.#log.info(message, { ...this.#fields, ...this.#counts, ...more?.() });
  }

  get #counts(): LogFields {
    return {
      failures: this.#failures,
      downMs: Math.round(this.#downMs),
      ...(this.#outages > 1 ? { outages: this.#outages } : {}),
    };
  }
}
