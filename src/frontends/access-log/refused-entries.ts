import { Throttle } from '../../time/throttle.ts';

/** Entries of an access log stream that cannot be decoded; the others are reported. */
export class RefusedEntries {
  /** Entries, and messages that are none. */
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
    if (this.#lines.admit() > 0)
      this.#warn('access log entries cannot be read and are dropped', { why, refused: this.total });
  }
}
