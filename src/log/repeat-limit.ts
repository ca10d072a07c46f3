/** Equal lines of the log are written so often in a period; further ones are counted, and the count is told when the period ends. */
export interface RepeatLimitOptions {
  readonly most?: number;
  readonly periodMs?: number;
  /** `repeats` further lines with this key were left out in `periodMs`. */
  readonly onRepeats: (key: string, repeats: number, periodMs: number) => void;
}

interface Period {
  written: number;
  leftOut: number;
  readonly timer: NodeJS.Timeout;
}

/** Texts made from what clients send are keys too: beyond so many at once, lines are not counted. */
const MOST_KEYS = 1000;

export class RepeatLimit {
  readonly #most: number;
  readonly #periodMs: number;
  readonly #onRepeats: RepeatLimitOptions['onRepeats'];
  readonly #periods = new Map<string, Period>();

  constructor({ most = 20, periodMs = 10_000, onRepeats }: RepeatLimitOptions) {
    this.#most = most;
    this.#periodMs = periodMs;
    this.#onRepeats = onRepeats;
  }

  /** Whether a line is to be written. */
  admits(key: string): boolean {
    let period = this.#periods.get(key);
    if (period === undefined) {
      if (this.#periods.size >= MOST_KEYS) return true;
      this.#periods.set(
        key,
        (period = { written: 0, leftOut: 0, timer: setTimeout(() => this.#end(key), this.#periodMs).unref() }),
      );
    }
    if (period.written < this.#most) {
      period.written++;
      return true;
    }
    period.leftOut++;
    return false;
  }

  #end(key: string): void {
    const period = this.#periods.get(key);
    if (period === undefined) return;
    clearTimeout(period.timer);
    this.#periods.delete(key);
    if (period.leftOut > 0) this.#onRepeats(key, period.leftOut, this.#periodMs);
  }
}
