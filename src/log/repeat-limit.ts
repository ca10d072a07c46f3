/**
 * Writes at most `most` equal log lines per period; further ones are counted, and the count is reported when the period or the log ends.
 * So are lines of ever new texts: above a number of texts, those of all others have a limit in common.
 */

export interface RepeatLimitOptions {
  readonly most?: number;
  readonly periodMs?: number;
  /** `repeats` further lines with this key were suppressed in `inMs`. */
  readonly onRepeats: (key: string, repeats: number, inMs: number) => void;
  /** `lines` of keys above the most that are counted apart were suppressed in `inMs`. */
  readonly onOthers: (lines: number, inMs: number) => void;
}

interface Period {
  written: number;
  suppressed: number;
  /** By `performance.now()`. */
  readonly sinceMs: number;
  readonly timer: NodeJS.Timeout;
}

/** Keys may contain texts of clients. */
const MAX_KEYS = 1000;
/** Lines of all keys beyond. */
const MOST_OTHERS = 1000;
/** Of those keys; no other is empty. */
const OTHERS = '';

export class RepeatLimit {
  readonly #most: number;
  readonly #periodMs: number;
  readonly #onRepeats: RepeatLimitOptions['onRepeats'];
  readonly #onOthers: RepeatLimitOptions['onOthers'];
  readonly #periods = new Map<string, Period>();

  constructor({ most = 20, periodMs = 10_000, onRepeats, onOthers }: RepeatLimitOptions) {
    this.#most = most;
    this.#periodMs = periodMs;
    this.#onRepeats = onRepeats;
    this.#onOthers = onOthers;
  }

  /** False if the line is suppressed. */
  admits(key: string): boolean {
    let period = this.#periods.get(key);
    if (period === undefined) {
      if (this.#periods.size >= MAX_KEYS && key !== OTHERS) return this.admits(OTHERS);
      this.#periods.set(
        key,
        (period = {
          written: 0,
          suppressed: 0,
          sinceMs: performance.now(),
          timer: setTimeout(() => this.#end(key, this.#periodMs), this.#periodMs).unref(),
        }),
      );
    }
    if (period.written < (key === OTHERS ? MOST_OTHERS : this.#most)) {
      period.written++;
      return true;
    }
    period.suppressed++;
    return false;
  }

  /** Reports what is counted so far: the process, or the worker, ends. */
  end(): void {
    const nowMs = performance.now();
    for (const [key, { sinceMs }] of this.#periods) this.#end(key, Math.ceil((nowMs - sinceMs) / 1000) * 1000);
  }

  #end(key: string, afterMs: number): void {
    const period = this.#periods.get(key);
    if (period === undefined) return;
    clearTimeout(period.timer);
    this.#periods.delete(key);
    if (period.suppressed === 0) return;
    if (key === OTHERS) this.#onOthers(period.suppressed, afterMs);
    else this.#onRepeats(key, period.suppressed, afterMs);
  }
}
