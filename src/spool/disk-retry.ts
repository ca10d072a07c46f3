/**
 * Calls of the file system that are tried again until they succeed, with back-off.
 * **Fails**: only once it has given up, for the close of its spool.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../text/message-of.ts';
import { Throttle } from '../time/throttle.ts';
import type { SpoolLog } from './types.ts';

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2000;

export class DiskRetry {
  readonly #folder: string;
  readonly #log: SpoolLog;
  readonly #onChange: () => void;
  readonly #lines = new Throttle();
  readonly #giveUp = new AbortController();
  /** Why nothing can be written now. */
  error: string | undefined;
  errors = 0;

  /** `onChange`: called when the disk begins to fail, and when it works again. */
  constructor(folder: string, log: SpoolLog, onChange: () => void) {
    this.#folder = folder;
    this.#log = log;
    this.#onChange = onChange;
  }

  get hasGivenUp(): boolean {
    return this.#giveUp.signal.aborted;
  }

  giveUp(): void {
    this.#giveUp.abort(new Error('closed before the disk had taken everything'));
  }

  throwIfGivenUp(): void {
    this.#giveUp.signal.throwIfAborted();
  }

  /** `onError` is called with each error before the next try. */
  async persist<R>(work: () => Promise<R>, onError: (error: unknown) => void): Promise<R> {
    for (let tries = 0; ; tries++) {
      try {
        const result = await work();
        if (this.error !== undefined) {
          this.error = undefined;
          this.#log.info('a spool can be written again', { folder: this.#folder });
          this.#onChange();
        }
        return result;
      } catch (error) {
        this.failed(error);
        onError(error);
        if (this.hasGivenUp) throw error;
        await sleep(Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10)), undefined, {
          signal: this.#giveUp.signal,
        }).catch(() => undefined);
      }
    }
  }

  failed(error: unknown): void {
    this.errors++;
    const isNew = this.error === undefined;
    this.error = messageOf(error);
    if (this.#lines.admit() > 0 || isNew)
      this.#log.error('a spool cannot be written; reports wait until the disk accepts them', {
        folder: this.#folder,
        why: this.error,
      });
    if (isNew) this.#onChange();
  }
}
