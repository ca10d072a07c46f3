import type { FrameHandler } from './frame-handler.ts';
import { ConnectionError, ErrorCode, FRAME_HEAD_BYTES, MAX_FRAME_BYTES, PREFACE } from './frames.ts';

/**
 * **In**: received bytes, split anywhere. **Out**: frames, whole, after the client's preface (RFC 9113 sections 3.4 and 4.1).
 * **Fails**: with a {@link ConnectionError} for a wrong preface and a frame that is too long.
 */
export class FrameReader {
  readonly #handler: FrameHandler;
  #isStopped = false;
  #prefaceAt = 0;
  /** An incomplete frame. */
  #partial: Uint8Array | undefined;
  #partialLength = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** The incomplete frame; a different object for each frame. */
  get partial(): unknown {
    return this.#partial;
  }

  /** The connection has ended: the rest of the chunk is dropped. */
  stop(): void {
    this.#isStopped = true;
  }

  /** `length`: of what was received, from the start of the chunk, whose memory may change afterwards. */
  read(chunk: Uint8Array, length: number): void {
    let from = this.#prefaceAt < PREFACE.length ? this.#preface(chunk, length) : 0;
    if (this.#partial !== undefined) from = this.#complete(chunk, from, length);
    if (this.#partial !== undefined) return;
    from = this.#frames(chunk, from, length);
    if (from < length && !this.#isStopped) this.#stash(chunk, from, length);
  }

  #preface(chunk: Uint8Array, to: number): number {
    let from = 0;
    while (from < to && this.#prefaceAt < PREFACE.length) {
      if (chunk[from++] !== PREFACE[this.#prefaceAt++])
        throw new ConnectionError(
          ErrorCode.PROTOCOL_ERROR,
          'this port speaks HTTP/2 with prior knowledge; the connection does not begin with the preface',
        );
    }
    return from;
  }

  #frames(bytes: Uint8Array, from: number, to: number): number {
    const handler = this.#handler;
    let at = from;
    while (to - at >= FRAME_HEAD_BYTES) {
      const payload = at + FRAME_HEAD_BYTES;
      const end = payload + payloadBytes(bytes, at);
      if (end > to) break;
      handler.frame(bytes, at, payload, end);
      at = end;
      if (this.#isStopped) return to;
    }
    return at;
  }

  /** Completes the split frame and passes it on. Its buffer is not reused, so its reader may keep it. */
  #complete(chunk: Uint8Array, from: number, to: number): number {
    let at = from;
    while (this.#partial !== undefined && at < to) {
      const partial: Uint8Array = this.#partial;
      const taken = Math.min(partial.length - this.#partialLength, to - at);
      partial.set(chunk.subarray(at, at + taken), this.#partialLength);
      this.#partialLength += taken;
      at += taken;
      if (this.#partialLength < partial.length) break;
      const whole = FRAME_HEAD_BYTES + payloadBytes(partial, 0);
      if (whole > partial.length) {
        this.#partial = new Uint8Array(whole);
        this.#partial.set(partial);
      } else {
        this.#partial = undefined;
        this.#handler.frame(partial, 0, FRAME_HEAD_BYTES, whole);
      }
    }
    return at;
  }

  #stash(chunk: Uint8Array, from: number, to: number): void {
    const have = to - from;
    this.#partial = new Uint8Array(
      have < FRAME_HEAD_BYTES ? FRAME_HEAD_BYTES : FRAME_HEAD_BYTES + payloadBytes(chunk, from),
    );
    this.#partial.set(chunk.subarray(from, to));
    this.#partialLength = have;
  }
}

function payloadBytes(bytes: Uint8Array, head: number): number {
  const length = ((bytes[head] as number) << 16) | ((bytes[head + 1] as number) << 8) | (bytes[head + 2] as number);
  if (length > MAX_FRAME_BYTES)
    throw new ConnectionError(
      ErrorCode.FRAME_SIZE_ERROR,
      `a frame has ${length} bytes; at most ${MAX_FRAME_BYTES} are allowed`,
    );
  return length;
}
