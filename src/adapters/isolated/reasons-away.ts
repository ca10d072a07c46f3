/**
 * Why a handler that is away stays away. What ended it is logged; what keeps it from being opened again may be something else, such as a
 * release that does not match its description.
 * **In**: the reason of each failed attempt. **Out**: whether it is worth a line. **Fails**: never.
 */
const AGAIN_AFTER_MS = 60_000;
/** A reason may have a number in it that changes. */
const MAX_REASONS = 10;

export class ReasonsAway {
  readonly #nowMs: () => number;
  /** When each was logged. */
  readonly #logged = new Map<string, number>();
  #last: string | undefined;

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  logged(why: string): void {
    this.#last = why;
    this.#logged.set(why, this.#nowMs());
  }

  /** Whether the reason lasts, being that of two attempts in a row, and was not logged for a minute; then it counts as logged. */
  isNews(why: string): boolean {
    const lasts = this.#last === why;
    this.#last = why;
    if (!lasts) return false;
    const nowMs = this.#nowMs();
    for (const [reason, atMs] of this.#logged) if (nowMs - atMs >= AGAIN_AFTER_MS) this.#logged.delete(reason);
    if (this.#logged.has(why) || this.#logged.size >= MAX_REASONS) return false;
    this.logged(why);
    return true;
  }
}
