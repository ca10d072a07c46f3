import type { Limits } from '../limits.ts';
import { ConnectionError, ErrorCode } from './frames.ts';

/** Tokens regained per answered call, since gRPC clients send pings and window updates along with calls. */
const EARNED_BY_ANSWER = 4;

/**
 * A token bucket for frames without a request: resets, SETTINGS, PING, GOAWAY, PRIORITY, window updates, unknown and empty frames,
 * malformed requests. It refills over time and with every answered call.
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
      if (this.#left < 1) throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'too many frames without a request');
    }
    this.#left -= 1;
  }
}
