import type { Limits } from '../limits.ts';
import { ConnectionError, ErrorCode } from './frames.ts';

/** Tokens that an answered call gives back: gRPC clients ping and update windows as they go. */
const EARNED_BY_ANSWER = 4;

/**
 * A token bucket for frames that ask for nothing: resets, SETTINGS, PING, GOAWAY, PRIORITY, window updates, unknown and empty frames,
 * malformed requests. It refills with time and with every call that is answered.
 */
export class IdleBudget {
  readonly #most: number;
  readonly #perMs: number;
  readonly #nowMs: () => number;
  #left: number;
  #atMs: number;

  constructor({ idleFrames, idleFramesPerSecond }: Limits, nowMs: () => number) {
    this.#most = idleFrames;
    this.#perMs = idleFramesPerSecond / 1000;
    this.#nowMs = nowMs;
    this.#left = idleFrames;
    this.#atMs = nowMs();
  }

  answered(): void {
    if (this.#left < this.#most) this.#left += EARNED_BY_ANSWER;
  }

  /** Throws a {@link ConnectionError} when it is empty. */
  spend(): void {
    if (this.#left < 1) {
      const nowMs = this.#nowMs();
      this.#left = Math.min(this.#most, this.#left + (nowMs - this.#atMs) * this.#perMs);
      this.#atMs = nowMs;
      if (this.#left < 1)
        throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many frames that ask for nothing');
    }
    this.#left -= 1;
  }
}
