/** The frames of one turn in one buffer, so that all replies to one read go out in one write. */
import { FRAME_HEAD_BYTES, FrameType } from './frames.ts';

const FIRST_BYTES = 16 * 1024;
/** A buffer that grew larger than this for a large reply is not reused. */
const MAX_KEPT_BYTES = 256 * 1024;

export class Output {
  bytes = new Uint8Array(0);
  length = 0;

  /** Makes room and returns the position to write at; the caller advances `length`. */
  reserve(more: number): number {
    if (this.length + more > this.bytes.length) {
      const larger = new Uint8Array(Math.max(FIRST_BYTES, this.bytes.length * 2, this.length + more));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    return this.length;
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.frameHead(type, flags, streamId, payload.length, payload.length);
    this.bytes.set(payload, this.length);
    this.length += payload.length;
  }

  /** `room`: bytes to reserve after the head. */
  frameHead(type: number, flags: number, streamId: number, payloadBytes: number, room: number): void {
    const at = this.reserve(FRAME_HEAD_BYTES + room);
    const { bytes } = this;
    bytes[at] = payloadBytes >>> 16;
    bytes[at + 1] = payloadBytes >>> 8;
    bytes[at + 2] = payloadBytes;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    bytes[at + 5] = streamId >>> 24;
    bytes[at + 6] = streamId >>> 16;
    bytes[at + 7] = streamId >>> 8;
    bytes[at + 8] = streamId;
    this.length = at + FRAME_HEAD_BYTES;
  }

  reset(streamId: number, code: number): void {
    this.frameHead(FrameType.RST_STREAM, 0, streamId, 4, 4);
    this.uint32(code);
  }

  windowUpdate(streamId: number, more: number): void {
    this.frameHead(FrameType.WINDOW_UPDATE, 0, streamId, 4, 4);
    this.uint32(more);
  }

  goAway(lastStreamId: number, code: number, why: string): void {
    const words = new TextEncoder().encode(why);
    this.frameHead(FrameType.GOAWAY, 0, 0, 8 + words.length, 8 + words.length);
    this.uint32(lastStreamId);
    this.uint32(code);
    this.append(words);
  }

  uint32(value: number): void {
    const at = this.reserve(4);
    const { bytes } = this;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
    this.length = at + 4;
  }

  append(piece: Uint8Array): void {
    const at = this.reserve(piece.length);
    // For few bytes a loop is faster than calling `set`.
    if (piece.length < 32)
      for (let index = 0; index < piece.length; index++) this.bytes[at + index] = piece[index] as number;
    else this.bytes.set(piece, at);
    this.length = at + piece.length;
  }

  /** The bytes to write; call {@link clear} afterwards. */
  taken(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** `isFree`: the taken buffer may be reused. */
  clear(isFree: boolean): void {
    this.length = 0;
    if (!isFree || this.bytes.length > MAX_KEPT_BYTES) this.bytes = new Uint8Array(0);
  }
}
