/**
 * Log lines about objects of the API server without effect.
 * **In**: such objects, each once or more. **Out**: one line for each, at most a hundred a minute, and one for the rest of the minute.
 */
import type { OwnLog } from '../../log/log.ts';
import type { UnreadObject } from '../../mesh/sources/unread-kinds.ts';
import { positionText } from '../../yaml/source-text.ts';

const PERIOD_MS = 60_000;
const MAX_LINES = 100;

export class UnreadLog implements Disposable {
  readonly #log: OwnLog;
  readonly #logged = new WeakSet<UnreadObject>();
  #lines = 0;
  #rest = 0;
  /** Runs until the minute is over. */
  #timer: NodeJS.Timeout | undefined;

  constructor(log: OwnLog) {
    this.#log = log;
  }

  take(object: UnreadObject): void {
    if (this.#logged.has(object)) return;
    this.#logged.add(object);
    this.#timer ??= setTimeout(() => this.#end(), PERIOD_MS).unref();
    if (this.#lines++ >= MAX_LINES) this.#rest++;
    else {
      const { position, message } = object.finding;
      this.#log.warn('an object of the Kubernetes API has no effect', { object: positionText(position), why: message });
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #end(): void {
    if (this.#rest > 0)
      this.#log.warn('more objects of the Kubernetes API have no effect; /mesh lists them', { objects: this.#rest });
    this.#timer = undefined;
    this.#lines = 0;
    this.#rest = 0;
  }
}
