/** How long background work may block the event loop at a time. */
const SLICE_MS = 5;

/**
 * Divides long work into slices, so that calls are answered in between: `if (slice.isOver) await slice.next()` after each step, which reads
 * the clock once. The caller chooses how long a step takes.
 */
export class TimeSlice {
  readonly #sliceMs: number;
  #endsAtMs: number;

  constructor(sliceMs: number = SLICE_MS) {
    this.#sliceMs = sliceMs;
    this.#endsAtMs = performance.now() + sliceMs;
  }

  get isOver(): boolean {
    return performance.now() >= this.#endsAtMs;
  }

  /** Resolves in the next turn of the event loop, after sockets are read and timers have fired. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#endsAtMs = performance.now() + this.#sliceMs;
  }
}
