/**
 * A frame: the records of one write.
 *
 * | octets | |
 * |---|---|
 * | 4 | magic |
 * | 4 | octets of the frame after the first 12 |
 * | 4 | CRC-32 of these octets |
 * | 8 | sequence of the first record |
 * | 8 | milliseconds since 1970 of its appending, a float |
 * | 4 | number of records |
 * | ... | each: 4 octets of length, then its octets |
 *
 * All numbers are little-endian.
 */
import { crc32 } from 'node:zlib';
import { MAX_RECORD_BYTES } from './types.ts';

const MAGIC = Buffer.from('SlF1');
export const FRAME_HEAD_BYTES = 32;
const CHECKED_FROM = 12;
const LENGTH_BYTES = 4;
/** A frame holds at most this, unless its only record is larger. */
export const MAX_FRAME_BYTES = 1024 * 1024;
const LONGEST_FRAME = FRAME_HEAD_BYTES + LENGTH_BYTES + Math.max(MAX_RECORD_BYTES, MAX_FRAME_BYTES);

export interface FrameHead {
  readonly first: number;
  readonly count: number;
  readonly atMs: number;
  /** Octets of the whole frame. */
  readonly bytes: number;
}

export const recordBytes = (record: Uint8Array): number => LENGTH_BYTES + record.length;

/** Writes a frame at `at` and returns its end. `records` from `from` to `to`, which together fit. */
export function writeFrame(
  into: Buffer,
  at: number,
  records: readonly { readonly bytes: Uint8Array }[],
  from: number,
  to: number,
  first: number,
  atMs: number,
): number {
  let end = at + FRAME_HEAD_BYTES;
  for (let index = from; index < to; index++) {
    const { bytes } = records[index] as { readonly bytes: Uint8Array };
    into.writeUInt32LE(bytes.length, end);
    into.set(bytes, end + LENGTH_BYTES);
    end += LENGTH_BYTES + bytes.length;
  }
  into.set(MAGIC, at);
  into.writeUInt32LE(end - at - CHECKED_FROM, at + 4);
  into.writeBigUInt64LE(BigInt(first), at + 12);
  into.writeDoubleLE(atMs, at + 20);
  into.writeUInt32LE(to - from, at + 28);
  into.writeUInt32LE(crc32(into.subarray(at + CHECKED_FROM, end)), at + 8);
  return end;
}

/** `undefined`: no valid frame begins here. `more`: one may, but its octets end before it does. */
export function readHead(bytes: Buffer, at: number, end: number): FrameHead | 'more' | undefined {
  if (end - at < FRAME_HEAD_BYTES)
    return bytes.compare(MAGIC, 0, Math.min(4, end - at), at, Math.min(at + 4, end)) === 0 ? 'more' : undefined;
  if (bytes.compare(MAGIC, 0, 4, at, at + 4) !== 0) return undefined;
  const length = CHECKED_FROM + bytes.readUInt32LE(at + 4);
  if (length < FRAME_HEAD_BYTES || length > LONGEST_FRAME) return undefined;
  const count = bytes.readUInt32LE(at + 28);
  if (count === 0 || count * LENGTH_BYTES > length - FRAME_HEAD_BYTES) return undefined;
  const first = Number(bytes.readBigUInt64LE(at + 12));
  if (!Number.isSafeInteger(first + count)) return undefined;
  if (at + length > end) return 'more';
  if (crc32(bytes.subarray(at + CHECKED_FROM, at + length)) !== bytes.readUInt32LE(at + 8)) return undefined;
  return { first, count, atMs: bytes.readDoubleLE(at + 20), bytes: length };
}

/** The size that the head of a frame claims, whether or not it is valid; 0: the buffer ends inside of the head. */
export const claimedBytes = (bytes: Buffer, at: number): number =>
  bytes.length - at < 8 ? 0 : Math.min(LONGEST_FRAME, CHECKED_FROM + bytes.readUInt32LE(at + 4));

/** The records of a valid frame, as views; `undefined` if their lengths do not add up. */
export function frameRecords(bytes: Buffer, at: number, head: FrameHead): Uint8Array[] | undefined {
  const records: Uint8Array[] = [];
  const end = at + head.bytes;
  let from = at + FRAME_HEAD_BYTES;
  for (let index = 0; index < head.count; index++) {
    if (from + LENGTH_BYTES > end) return undefined;
    const to = from + LENGTH_BYTES + bytes.readUInt32LE(from);
    if (to > end) return undefined;
    records.push(bytes.subarray(from + LENGTH_BYTES, to));
    from = to;
  }
  return from === end ? records : undefined;
}

/** Where a frame may begin at or after `at`; -1: nowhere. */
export const nextMagic = (bytes: Buffer, at: number, end: number): number => {
  const found = bytes.indexOf(MAGIC, at);
  return found < 0 || found >= end ? -1 : found;
};
