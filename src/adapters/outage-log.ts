import type { Log, LogFields } from './contract.ts';
import { Throttle } from '../time/throttle.ts';

/**
 * Logs that a backend stopped answering and that it answers again.
 * While it flaps, at most one warning a minute is logged; recovery is logged only after a logged warning.
 * `why` must not hold secrets: it is logged as it is.
 */
export class OutageLog {
  readonly #log: Log;
  readonly #fields: LogFields;
  readonly #nowMs: () => number;
  #isDown = false;
  #isLogged = false;
  #downSinceMs = 0;
  readonly #lines: Throttle;
  #failures = 0;

  /** `fields` name the backend on each line; `nowMs` is monotonic. */
  constructor(log: Log, fields: LogFields, nowMs: () => number = () => performance.now()) {
    this.#log = log;
    this.#fields = fields;
    this.#nowMs = nowMs;
    this.#lines = new Throttle({ nowMs });
  }

  /** It has stopped; why is not known yet, and nothing is logged. */
  began(): void {
    if (this.#isDown) return;
    this.#isDown = true;
    this.#isLogged = false;
    this.#downSinceMs = this.#nowMs();
    this.#failures = 0;
  }

  /** `more`: fields that are read if a line is written. Returns whether one is. */
  failed(message: string, why: string, more?: () => LogFields): boolean {
    this.began();
    const nowMs = this.#nowMs();
    this.#failures++;
    if (this.#lines.admit() === 0) return false;
    this.#isLogged = true;
    this.#log.warn(message, {
      ...this.#fields,
      why,
      failures: this.#failures,
      downMs: Math.round(nowMs - this.#downSinceMs),
      ...more?.(),
    });
    return true;
  }

  /** Cheap while the backend is up: it is called for each answer. */
  succeeded(message: string, more?: () => LogFields): void {
    if (!this.#isDown) return;
    this.#isDown = false;
    if (this.#isLogged)
      this.#log.info(message, {
        ...this.#fields,
        failures: this.#failures,
        downMs: Math.round(this.#nowMs() - this.#downSinceMs),
        ...more?.(),
      });
  }
}
