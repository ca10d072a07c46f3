/** How long work that nobody waits for may hold the event loop at a time. */
const SLICE_MS = 5;

/**
 * Divides long work into slices, so that calls are answered meanwhile: `if (slice.isOver) await slice.next()` after each
 * step, which costs a reading of the clock where the slice is not over. What one step takes is up to the caller.
 */
export class TimeSlice {
  #endsAtMs = performance.now() + SLICE_MS;

  get isOver(): boolean {
    return performance.now() >= this.#endsAtMs;
  }

  /** Resolves after the event loop has gone round: sockets are read and timers fire before. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#endsAtMs = performance.now() + SLICE_MS;
  }
}
