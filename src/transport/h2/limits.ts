/**
 * What one connection may cost us. Each bound is on what a peer can make us hold or do without asking anything of use.
 */
export interface Limits {
  /** Open at once; told to the peer, who may not have more. */
  readonly maxStreams: number;
  /** Of names, values and 32 for each field; told to the peer. A larger one is refused, and the connection lives on. */
  readonly maxHeaderListBytes: number;
  /** Of one header block as it is encoded, CONTINUATION frames included; a larger one ends the connection. */
  readonly maxHeaderBlockBytes: number;
  /** What a stream may send before its reader has taken it. */
  readonly streamWindowBytes: number;
  /** Of all streams together that wait for the rest of their message or for their reader: beyond it the connection's window stays shut. */
  readonly maxHeldBytes: number;
  /** The same with what is unpacked for them: beyond it a request is refused. */
  readonly maxUnpackedBytes: number;
  /** Of replies that the peer gives us no window for; beyond it the connection is closed. */
  readonly maxBlockedBytes: number;
  /** Frames that carry nothing (see {@link Patience}) at once, and how many more each second. */
  readonly idleFrames: number;
  readonly idleFramesPerSecond: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxStreams: 1024,
  maxHeaderListBytes: 16 * 1024,
  maxHeaderBlockBytes: 32 * 1024,
  streamWindowBytes: 64 * 1024,
  maxHeldBytes: 16 * 1024 * 1024,
  maxUnpackedBytes: 32 * 1024 * 1024,
  maxBlockedBytes: 8 * 1024 * 1024,
  idleFrames: 1000,
  idleFramesPerSecond: 100,
};

/** What an answered call earns back: gRPC clients ping and update windows as they go. */
const EARNED_BY_ANSWER = 4;

/**
 * How much a peer may make us do for nothing: reset streams, SETTINGS, PING, GOAWAY, PRIORITY, window updates, unknown and empty
 * frames, malformed requests. A bucket that refills with time and with every call that was answered.
 */
export class Patience {
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

  /** False: it is over. */
  spend(): boolean {
    if (this.#left < 1) {
      const nowMs = this.#nowMs();
      this.#left = Math.min(this.#most, this.#left + (nowMs - this.#atMs) * this.#perMs);
      this.#atMs = nowMs;
      if (this.#left < 1) return false;
    }
    this.#left -= 1;
    return true;
  }
}
