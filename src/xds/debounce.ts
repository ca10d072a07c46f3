/** Joins changes that come close together into one. */
export interface DebounceOptions {
  /** Without another change for so long, the action runs. */
  readonly quietMs: number;
  /** It runs at the latest so long after the first change. */
  readonly maxMs: number;
}

export class Debounce implements Disposable {
  readonly #options: DebounceOptions;
  readonly #action: (firstAtMs: number) => void;
  #firstAtMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** The action gets the time of the first change, by performance.now(). */
  constructor(options: DebounceOptions, action: (firstAtMs: number) => void) {
    this.#options = options;
    this.#action = action;
  }

  changed(): void {
    const { quietMs, maxMs } = this.#options;
    const nowMs = performance.now();
    const firstAtMs = (this.#firstAtMs ??= nowMs);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#firstAtMs = undefined;
        this.#action(firstAtMs);
      },
      Math.max(0, Math.min(quietMs, firstAtMs + maxMs - nowMs)),
    );
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
