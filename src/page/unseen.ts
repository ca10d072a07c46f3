/** Whether the page is seen: its tab is in front, and its window is not covered or minimised. */

/** Aborts when the page has been hidden for so long. */
export class Unseen {
  readonly #tooLong = new AbortController();
  readonly #ms: number;
  readonly signal: AbortSignal = this.#tooLong.signal;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number) {
    this.#ms = ms;
    document.addEventListener('visibilitychange', this.#changed);
    this.#changed();
  }

  over(): void {
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#changed);
  }

  readonly #changed = (): void => {
    clearTimeout(this.#timer);
    if (document.hidden) this.#timer = setTimeout(() => this.#tooLong.abort(), this.#ms);
  };
}

/** Resolves when the page is seen, or `ended`. */
export const seen = (ended: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (document.hidden && !ended.aborted) return;
      document.removeEventListener('visibilitychange', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    ended.addEventListener('abort', look);
    look();
  });
