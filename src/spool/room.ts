/** Whether a spool has room, and for how long it had none. */
export class Room {
  readonly #isStopped: () => boolean;
  #waiting: PromiseWithResolvers<void> | undefined;
  #stoppedSinceMs: number | undefined;
  #stoppedMs = 0;

  constructor(isStopped: () => boolean) {
    this.#isStopped = isStopped;
  }

  /** Settles when there is room; `undefined`: there is. */
  get promise(): Promise<void> | undefined {
    this.changed();
    return this.#waiting?.promise;
  }

  /** To be called when it may have changed. */
  changed(): void {
    if (this.#isStopped()) {
      this.#stoppedSinceMs ??= performance.now();
      this.#waiting ??= Promise.withResolvers<void>();
      return;
    }
    this.#stoppedMs = this.stoppedMs;
    this.#stoppedSinceMs = undefined;
    this.release();
  }

  /** Nobody waits any more, room or not. */
  release(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  get stoppedMs(): number {
    return this.#stoppedMs + (this.#stoppedSinceMs === undefined ? 0 : performance.now() - this.#stoppedSinceMs);
  }
}
