import type { Log, LogFields } from '../../adapters/contract.ts';

const AT_MOST_EVERY_MS = 60_000;

/** Logs faults of a handler's plugin, at most one a minute: a plugin that throws does so for each call. */
export class FaultLog {
  readonly #log: Log;
  readonly #fields: LogFields;
  #loggedAtMs = -Infinity;
  #sinceLogged = 0;

  /** `fields` name the handler on each line. */
  constructor(log: Log, fields: LogFields) {
    this.#log = log;
    this.#fields = fields;
  }

  /** `thrown`: by the plugin; its first frame is logged. */
  tell(why: string, thrown: unknown): void {
    this.#sinceLogged++;
    const nowMs = performance.now();
    if (nowMs - this.#loggedAtMs < AT_MOST_EVERY_MS) return;
    const times = this.#sinceLogged;
    this.#loggedAtMs = nowMs;
    this.#sinceLogged = 0;
    const at = frameOf(thrown);
    this.#log.error('a plugin is at fault', { ...this.#fields, ...(at === undefined ? {} : { at }), why, times });
  }
}

/** `PATH:LINE:COLUMN`; `undefined` where no stack is there. */
function frameOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || typeof thrown.stack !== 'string') return undefined;
  return /^ +at (?:.*\()?(?:file:\/\/)?(.+?:\d+:\d+)\)?$/m.exec(thrown.stack)?.[1];
}
