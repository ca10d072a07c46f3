/**
 * How many lines a plugin may log.
 * **In**: its lines. **Out**: of each level a burst, then so many a second; how many were left out, once a period. **Fails**: never; of a
 * line that is left out nothing is read.
 */
import type { Log, LogFields } from '../contract.ts';
import { logByLevel } from './by-level.ts';

export interface LineRate {
  readonly burst: number;
  readonly perSecond: number;
}

/** Of debug lines, which are for somebody who looks for something, {@link DEBUG_TIMES} as many. */
const PLUGIN_LINES: LineRate = { burst: 100, perSecond: 10 };
const DEBUG_TIMES = 10;

/** For lines of another process; above {@link PLUGIN_LINES}, by which our processes bound theirs, to leave room for the host's lines. */
export const RECEIVED_LINES: LineRate = { burst: 150, perSecond: 15 };

/** A line of another process counts once for each so many octets. */
const OCTETS_OF_LINE = 4096;
/** Of many lines that are left out, one is read at most this often. */
const READ_EVERY_MS = 1000;

const PERIOD_MS = 10_000;

/** A line of another process, whose message and fields are decoded when they are read. */
export interface ReceivedLine {
  readonly level: keyof Log;
  /** How much is decoded, at most. */
  readonly octets: number;
  readonly message: string;
  readonly fields: LogFields;
}

export interface RatedLog extends Log {
  /** Reads the line if it is written. */
  received(line: ReceivedLine): void;
  /** The handler is closed: logs how many lines were left out until now. */
  end(): void;
}

export function ratedLog(log: Log, rate: LineRate = PLUGIN_LINES): RatedLog {
  const times = (by: number): LineRate => ({ burst: rate.burst * by, perSecond: rate.perSecond * by });
  const lines = (level: keyof Log): Lines => new Lines(log, level, level === 'debug' ? times(DEBUG_TIMES) : rate);
  const levels = { debug: lines('debug'), info: lines('info'), warn: lines('warn'), error: lines('error') };
  return {
    ...logByLevel((level) => levels[level].write),
    received: (line) => levels[line.level].received(line),
    end() {
      for (const one of Object.values(levels)) one.end();
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
  #readAtMs = -READ_EVERY_MS;
  #last: unknown;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log, level: keyof Log, rate: LineRate) {
    this.#log = log;
    this.#level = level;
    this.#rate = rate;
    this.#admitted = rate.burst;
  }

  readonly write: Write = (message, fields) => {
    if (this.#isAdmitted(1)) this.#log[this.#level](message, fields);
    else this.#last = message;
  };

  received(line: ReceivedLine): void {
    if (this.#isAdmitted(1 + Math.floor(line.octets / OCTETS_OF_LINE))) {
      this.#log[this.#level](line.message, line.fields);
      return;
    }
    if (this.#countedAtMs < this.#readAtMs + READ_EVERY_MS) return;
    this.#readAtMs = this.#countedAtMs;
    this.#last = line.message;
  }

  #isAdmitted(cost: number): boolean {
    const { burst, perSecond } = this.#rate;
    const nowMs = performance.now();
    this.#admitted = Math.min(burst, this.#admitted + ((nowMs - this.#countedAtMs) * perSecond) / 1000);
    this.#countedAtMs = nowMs;
    if (this.#admitted >= cost) {
      this.#admitted -= cost;
      return true;
    }
    if (this.#leftOut++ === 0) {
      this.#leftOutSinceMs = nowMs;
      this.#timer = setTimeout(() => this.end(), PERIOD_MS).unref();
    }
    return false;
  }

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
