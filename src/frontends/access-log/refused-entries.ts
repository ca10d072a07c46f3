/** What of an access log stream cannot be read. The rest of it is reported. */
export class RefusedEntries {
  /** Entries, and messages that are none. */
  total = 0;
  readonly #warn: (message: string, fields: { readonly why: string; readonly refused: number }) => void;
  readonly #nowMs: () => number;
  #warnedAtMs = -Infinity;

  /** `warn` is called at most once a minute. `nowMs` is monotonic. */
  constructor(
    warn: (message: string, fields: { readonly why: string; readonly refused: number }) => void,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#warn = warn;
    this.#nowMs = nowMs;
  }

  refuse(why: string): void {
    this.total++;
    const nowMs = this.#nowMs();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    this.#warn('access log entries cannot be read and are dropped', { why, refused: this.total });
  }
}

const WARN_EVERY_MS = 60_000;
