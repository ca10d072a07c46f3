/** Joins changes that come close together into one. */
export interface DebounceOptions {
  /** Without another change for so long, the action runs. */
  readonly quietMs: number;
  /** It runs at the latest so long after the first change. */
  readonly maxMs: number;
}

export class Debounce implements Disposable {
  readonly #options: DebounceOptions;
  readonly #action: () => void;
  #firstAtMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DebounceOptions, action: () => void) {
    this.#options = options;
    this.#action = action;
  }

  changed(): void {
    const { quietMs, maxMs } = this.#options;
    const nowMs = performance.now();
    this.#firstAtMs ??= nowMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#firstAtMs = undefined;
        this.#action();
      },
      Math.max(0, Math.min(quietMs, this.#firstAtMs + maxMs - nowMs)),
    );
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
