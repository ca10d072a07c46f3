import { performance } from 'node:perf_hooks';
import { gunzipSync } from 'node:zlib';
import { GrpcError, Status } from '../transport.ts';
import { tooLarge } from './message-queue.ts';

/** Up to this many times its packed size a message may always have: whoever sends as much pays for the work. Texts seldom pack better. */
const FREE_RATIO = 16;
/** Of what messages have beyond that: at once, and in each second that follows. gzip packs zeros a thousandfold, and 4 MiB take 20 ms. */
const EXCESS_BYTES = 8 * 1024 * 1024;

/**
 * Unpacks the messages of all connections of a server, since one connection more costs a peer next to nothing.
 * **Fails**: with a {@link GrpcError} where a message is no gzip, or is larger than it may be.
 */
export class Unpacker {
  readonly #maxBytes: number;
  readonly #nowMs: () => number;
  #excess = EXCESS_BYTES;
  #atMs: number;

  constructor(maxBytes: number, nowMs: () => number = () => performance.now()) {
    this.#maxBytes = maxBytes;
    this.#nowMs = nowMs;
    this.#atMs = nowMs();
  }

  unpack(message: Uint8Array): Uint8Array {
    this.#refill();
    const free = FREE_RATIO * message.length;
    const most = Math.max(1, Math.floor(Math.min(this.#maxBytes, free + this.#excess)));
    try {
      const whole = gunzipSync(message, { maxOutputLength: most });
      this.#spend(whole.length - free);
      return whole;
    } catch (error) {
      if (!(error instanceof RangeError))
        throw new GrpcError(Status.INTERNAL, 'a message says that it is gzip, and is not', { cause: error });
      this.#spend(most - free);
      if (most === this.#maxBytes) throw tooLarge('more when it is unpacked', most);
      throw new GrpcError(
        Status.RESOURCE_EXHAUSTED,
        `a message is more than ${FREE_RATIO} times as large when it is unpacked, and many were`,
      );
    }
  }

  #refill(): void {
    const nowMs = this.#nowMs();
    this.#excess = Math.min(EXCESS_BYTES, this.#excess + (EXCESS_BYTES * (nowMs - this.#atMs)) / 1000);
    this.#atMs = nowMs;
  }

  #spend(bytes: number): void {
    if (bytes > 0) this.#excess -= bytes;
  }
}
