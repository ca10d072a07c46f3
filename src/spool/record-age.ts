import type { SpoolOptions } from './types.ts';

/**
 * Times of records, and which are too old. Beside the wall clock it reads one that is never set, since a step of the wall clock must
 * not make records old.
 */
export class RecordAge {
  readonly #maxAgeMs: number | undefined;
  readonly #wallMs: () => number;
  readonly #steadyMs: () => number;

  constructor({ maxAgeMs, nowMs, monotonicMs = () => performance.now() }: SpoolOptions) {
    this.#maxAgeMs = maxAgeMs;
    this.#wallMs = nowMs;
    const offsetMs = nowMs() - monotonicMs();
    this.#steadyMs = () => Math.floor(offsetMs + monotonicMs());
  }

  /** For a record that is appended now; the later clock, so that its age is not overstated. */
  nowMs(): number {
    return Math.max(this.#wallMs(), this.#steadyMs());
  }

  isTooOld(atMs: number | undefined): boolean {
    if (this.#maxAgeMs === undefined || atMs === undefined) return false;
    return Math.min(this.#wallMs(), this.#steadyMs()) - atMs > this.#maxAgeMs;
  }
}
