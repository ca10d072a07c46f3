import { Throttle } from '../time/throttle.ts';

/** Counts malformed access log entries, which are dropped. */
export class RefusedEntries {
  /** Malformed entries, and malformed messages of entries. */
  total = 0;
  readonly #warn: (message: string, fields: { readonly why: string; readonly refused: number }) => void;
  readonly #lines: Throttle;

  /** `warn` is called at most once a minute. `nowMs` is monotonic. */
  constructor(
    warn: (message: string, fields: { readonly why: string; readonly refused: number }) => void,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#warn = warn;
    this.#lines = new Throttle({ nowMs });
  }

  refuse(why: string): void {
    this.total++;
    if (this.#lines.admit() > 0) this.#warn('malformed access log entries dropped', { why, refused: this.total });
  }
}
