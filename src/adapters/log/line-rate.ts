/**
 * How many lines a plugin may log.
 * **In**: its lines. **Out**: of each level a burst, then so many a second; how many were left out, once a period. **Fails**: never; of a
 * line that is left out nothing is read.
 */
import type { Log } from '../contract.ts';

export interface LineRate {
  readonly burst: number;
  readonly perSecond: number;
}

/** Of debug lines, which are for somebody who looks for something, {@link DEBUG_TIMES} as many. */
export const PLUGIN_LINES: LineRate = { burst: 100, perSecond: 10 };
const DEBUG_TIMES = 10;

/** For lines of another process, which has bounded them by {@link PLUGIN_LINES} if it is one of ours: with its own lines beside. */
export const RECEIVED_LINES: LineRate = { burst: 150, perSecond: 15 };

const PERIOD_MS = 10_000;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export interface RatedLog extends Log {
  /** Says what was left out until now: the handler is closed. */
  end(): void;
}

export function ratedLog(log: Log, rate: LineRate = PLUGIN_LINES): RatedLog {
  const times = (by: number): LineRate => ({ burst: rate.burst * by, perSecond: rate.perSecond * by });
  const levels = LEVELS.map((level) => new Lines(log, level, level === 'debug' ? times(DEBUG_TIMES) : rate));
  const [debug, info, warn, error] = levels.map((lines) => lines.write) as [Write, Write, Write, Write];
  return {
    debug,
    info,
    warn,
    error,
    end() {
      for (const lines of levels) lines.end();
    },
  };
}

type Write = Log['info'];

/** Lines of one level, so that many of one do not hide an error. */
class Lines {
  readonly #log: Log;
  readonly #level: keyof Log;
  readonly #rate: LineRate;
  /** How many may be written now. */
  #admitted: number;
  #countedAtMs = performance.now();
  #leftOut = 0;
  #leftOutSinceMs = 0;
  #last: unknown;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log, level: keyof Log, rate: LineRate) {
    this.#log = log;
    this.#level = level;
    this.#rate = rate;
    this.#admitted = rate.burst;
  }

  readonly write: Write = (message, fields) => {
    const { burst, perSecond } = this.#rate;
    const nowMs = performance.now();
    this.#admitted = Math.min(burst, this.#admitted + ((nowMs - this.#countedAtMs) * perSecond) / 1000);
    this.#countedAtMs = nowMs;
    if (this.#admitted >= 1) {
      this.#admitted--;
      this.#log[this.#level](message, fields);
      return;
    }
    if (this.#leftOut++ === 0) {
      this.#leftOutSinceMs = nowMs;
      this.#timer = setTimeout(() => this.end(), PERIOD_MS).unref();
    }
    this.#last = message;
  };

  end(): void {
    clearTimeout(this.#timer);
    if (this.#leftOut === 0) return;
    const [lines, last] = [this.#leftOut, this.#last];
    this.#leftOut = 0;
    this.#last = undefined;
    this.#log[this.#level === 'debug' ? 'debug' : 'warn']('log lines of a plugin were left out; it writes too many', {
      lines,
      of: this.#level,
      seconds: Math.ceil((performance.now() - this.#leftOutSinceMs) / 1000),
      last,
    });
  }
}
