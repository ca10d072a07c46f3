import type { Log, LogFields } from '../../adapters/contract.ts';
import { Throttle } from '../../time/throttle.ts';

/** Logs faults of a handler's plugin, at most one a minute: a plugin that throws does so for each call. */
export class FaultLog {
  readonly #log: Log;
  readonly #fields: LogFields;
  readonly #lines = new Throttle();

  /** `fields` name the handler on each line. */
  constructor(log: Log, fields: LogFields) {
    this.#log = log;
    this.#fields = fields;
  }

  /** `thrown`: by the plugin; its first frame is logged. */
  tell(why: string, thrown: unknown): void {
    const times = this.#lines.admit();
    if (times === 0) return;
    const at = frameOf(thrown);
    this.#log.error('a plugin is at fault', { ...this.#fields, ...(at === undefined ? {} : { at }), why, times });
  }
}

/** `PATH:LINE:COLUMN`; `undefined` where no stack is there. */
function frameOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || typeof thrown.stack !== 'string') return undefined;
  return /^ +at (?:.*\()?(?:file:\/\/)?(.+?:\d+:\d+)\)?$/m.exec(thrown.stack)?.[1];
}
