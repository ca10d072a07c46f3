/**
 * Uncaught errors: unhandled rejections, and exceptions in timers and event listeners.
 * **In**: the error. **Out**: a log line that names the plugin at fault, at most one a minute for each cause; counts.
 * **Fails**: never; the process continues.
 */
import type { Log } from './contract.ts';
import { messageOf } from '../text/message-of.ts';
import { Throttle } from '../time/throttle.ts';
import { type Origin, originOf } from './loading/plugin-places.ts';
import { withoutReload } from './loading/reload-url.ts';
import { openerOf } from './opened-by.ts';
import { runningPlugin } from './running-plugin.ts';
import { withoutSecretsInUse } from './secrets-in-use.ts';

/** Messages may differ each time; above this many causes, all further ones share one line. */
const MAX_CAUSES = 200;

export interface EscapedCount {
  readonly origin: Origin['kind'];
  /** The name of its adapter; empty for other origins. */
  readonly plugin: string;
  readonly count: number;
}

export class EscapedErrors {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #causes = new Map<string, Throttle>();
  readonly #counts = new Map<string, { readonly origin: Origin['kind']; readonly plugin: string; count: number }>();

  /** `nowMs` is monotonic. */
  constructor(log: Log, nowMs: () => number = () => performance.now()) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** `of`: the adapter that has the thread or process in which the error was not caught. */
  take(error: unknown, kind: 'rejection' | 'throw', of?: string): void {
    let origin = originOf(error);
    const started = origin.kind === 'unattributed' ? runningPlugin() : undefined;
    if (of !== undefined) origin = { kind: 'plugin', plugin: of, frame: frameOf(origin) };
    else if (started !== undefined) origin = { kind: 'plugin', plugin: started.adapter, frame: '' };
    const opener = origin.kind === 'unattributed' ? openerOf(error) : undefined;
    if (opener !== undefined) origin = opener;
    const plugin = origin.kind === 'plugin' ? origin.plugin : '';
    this.#countOf(origin.kind, plugin).count++;
    const times = this.#linesOf(causeKey(error, origin)).admit();
    if (times === 0) return;
    try {
      this.#say(error, kind, origin, times, started?.handler, opener !== undefined);
    } catch {
      // The log itself cannot be written; it is counted all the same.
    }
  }

  counts(): readonly EscapedCount[] {
    return [...this.#counts.values()].map((one) => ({ ...one }));
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, { count }) => sum + count, 0);
  }

  /** `handler`: the one that started the failed task, if no stack frame names a plugin. `isOpened`: the frame is where it was opened. */
  #say(
    thrown: unknown,
    kind: 'rejection' | 'throw',
    origin: Origin,
    times: number,
    handler: string | undefined,
    isOpened: boolean,
  ): void {
    const error = withoutSecretsInUse(thrown) ?? messageOf(thrown);
    const how = kind === 'rejection' ? 'unhandled rejection' : 'uncaught exception';
    switch (origin.kind) {
      case 'plugin':
        return this.#log.error('uncaught error in a plugin; Sluice goes on serving', {
          plugin: origin.plugin,
          ...(handler === undefined ? { at: placeOf(origin.frame) } : { handler }),
          ...(handler === undefined && !isOpened ? {} : { mend: NO_LISTENER }),
          how,
          error,
          times,
          ...(handler === undefined ? {} : { stack: stackOf(error) }),
        });
      case 'sluice':
        return this.#log.error('internal error outside of any call; Sluice goes on serving, please report it', {
          at: placeOf(origin.frame),
          how,
          error,
          times,
          stack: stackOf(error),
        });
      case 'unattributed':
        return this.#log.error('uncaught error of unknown origin; Sluice goes on serving', {
          how,
          error,
          times,
          stack: stackOf(error),
        });
    }
  }

  #countOf(origin: Origin['kind'], plugin: string): { count: number } {
    const key = `${origin} ${plugin}`;
    let known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, (known = { origin, plugin, count: 0 }));
    return known;
  }

  #linesOf(key: string): Throttle {
    const bounded = this.#causes.has(key) || this.#causes.size < MAX_CAUSES ? key : 'others';
    let known = this.#causes.get(bounded);
    if (known === undefined) this.#causes.set(bounded, (known = new Throttle({ nowMs: this.#nowMs })));
    return known;
  }
}

const NO_LISTENER =
  'give each socket, stream and EventEmitter that it opens a listener of error, and catch what its promises reject';

const frameOf = (origin: Origin): string => ('frame' in origin ? origin.frame : '');

/** The place of a known origin; else the message. */
function causeKey(error: unknown, origin: Origin): string {
  const name = nameOf(error);
  return frameOf(origin) === '' ? `${name} ${messageOf(error).slice(0, 200)}` : `${name} ${frameOf(origin)}`;
}

function nameOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.name).slice(0, 200) : typeof error;
  } catch {
    return typeof error; // a getter threw
  }
}

/** `FILE:LINE:COLUMN` of `at work (file:///FILE:LINE:COLUMN)`. */
export const placeOf = (frame: string): string =>
  withoutReload(frame.replace(/^at (?:.* \()?(?:file:\/\/)?/, '').replace(/\)$/, ''));
function stackOf(error: unknown): string | undefined {
  try {
    return error instanceof Error ? error.stack : undefined;
  } catch {
    return undefined; // a getter threw
  }
}
