import { performance } from 'node:perf_hooks';
import { gunzipSync } from 'node:zlib';
import { GrpcError, Status } from '../transport.ts';
import { tooLarge } from './message-queue.ts';

/** A message may always decompress to this multiple of its size; text rarely compresses better. */
const FREE_RATIO = 16;
/** The budget for output beyond that ratio, refilled once a second: gzip compresses zeros a thousandfold, and 4 MiB take 20 ms. */
const EXCESS_BYTES = 8 * 1024 * 1024;

/**
 * Decompresses the messages of all connections of a server; the budget is shared, since opening another connection is cheap for a peer.
 * **Fails**: with a {@link GrpcError} if a message is not gzip, or is larger than allowed.
 */
export class Decompressor {
  readonly #maxBytes: number;
  readonly #nowMs: () => number;
  #excess = EXCESS_BYTES;
  #atMs: number;

  constructor(maxBytes: number, nowMs: () => number = () => performance.now()) {
    this.#maxBytes = maxBytes;
    this.#nowMs = nowMs;
    this.#atMs = nowMs();
  }

  decompress(message: Uint8Array): Uint8Array {
    this.#refill();
    const free = FREE_RATIO * message.length;
    const most = Math.max(1, Math.floor(Math.min(this.#maxBytes, free + this.#excess)));
    try {
      const whole = gunzipSync(message, { maxOutputLength: most });
      this.#spend(whole.length - free);
      return whole;
    } catch (error) {
      if (!(error instanceof RangeError))
        throw new GrpcError(Status.INTERNAL, 'a message is marked as gzip, but is not gzip', { cause: error });
      this.#spend(most - free);
      if (most === this.#maxBytes) throw tooLarge('more bytes when decompressed', most);
      throw new GrpcError(
        Status.RESOURCE_EXHAUSTED,
        `a message decompresses to more than ${FREE_RATIO} times its size, and the budget for such messages is spent`,
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
