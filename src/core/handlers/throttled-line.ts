import type { Log, LogFields } from '../../adapters/contract.ts';
import { stackLines } from '../../text/stack-lines.ts';
import { Throttle } from '../../time/throttle.ts';

/** Lines with events that are not logged yet, by their log. */
const withRest = new WeakMap<Log, Set<Throttle>>();

/** The engine ends: each line of its log says how many more events there were. */
export function endLines(log: Log): void {
  for (const throttle of withRest.get(log) ?? []) throttle.end();
}

/**
 * A log line for events that any call may cause: at most one a minute; `times` counts the events since the last one. When the minute is
 * over, or with {@link endLines}, events after it are logged as their number, `more`.
 */
export class ThrottledLine {
  readonly #write: (fields: LogFields) => void;
  readonly #throttle: Throttle;
  readonly #all: Set<Throttle>;
  #hasRest = false;

  /** `fields` are on every line. */
  constructor(log: Log, level: 'warn' | 'error', message: string, fields: LogFields = {}) {
    this.#write = (more) => log[level](message, { ...fields, ...more });
    this.#throttle = new Throttle({
      onRest: (more) => {
        this.#noRest();
        this.#write({ more });
      },
    });
    let all = withRest.get(log);
    if (all === undefined) withRest.set(log, (all = new Set()));
    this.#all = all;
  }

  /** `fields` is called only if the line is written. */
  write(fields: () => LogFields): void {
    const times = this.#throttle.admit();
    if (times > 0) {
      this.#noRest();
      this.#write({ ...fields(), times });
    } else if (!this.#hasRest) {
      this.#hasRest = true;
      this.#all.add(this.#throttle);
    }
  }

  #noRest(): void {
    this.#hasRest = false;
    this.#all.delete(this.#throttle);
  }
}

/** Such a line for each of several causes, so that none hides another's; freed with the cause. */
export class ThrottledLines {
  readonly #make: () => ThrottledLine;
  readonly #lines = new WeakMap<object, ThrottledLine>();

  constructor(log: Log, level: 'warn' | 'error', message: string) {
    this.#make = () => new ThrottledLine(log, level, message);
  }

  write(cause: object, fields: () => LogFields): void {
    let line = this.#lines.get(cause);
    if (line === undefined) this.#lines.set(cause, (line = this.#make()));
    line.write(fields);
  }
}

/** `PATH:LINE:COLUMN` of the first stack frame; `undefined` without a stack. */
export function frameOf(thrown: unknown): string | undefined {
  for (const line of stackLines(thrown)) {
    const frame = /^ +at (?:.*\()?(?:file:\/\/)?(.+?:\d+:\d+)\)?$/.exec(line);
    if (frame !== null) return frame[1];
  }
  return undefined;
}
