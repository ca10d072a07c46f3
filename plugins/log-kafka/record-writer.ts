/**
 * Writes keys, values and headers of records one after the other into chunks of memory, because a buffer for each of them costs more than
 * its content.
 */
import { LONGEST_VARINT, varintBytes, writeVarint } from './varint.ts';

const CHUNK_BYTES = 64 * 1024;
/** A text below this length is given room for its longest encoding, which costs less than measuring it. */
const MEASURED_LENGTH = 4096;
const MOST_BYTES_OF_A_UNIT = 3;

export class RecordWriter {
  /** Where the last {@link room} is. */
  bytes: Buffer = Buffer.alloc(0);
  at = 0;

  /** Room for so many bytes in a row. */
  room(bytes: number): void {
    if (bytes <= this.bytes.length - this.at) return;
    this.bytes = Buffer.allocUnsafeSlow(Math.max(bytes, CHUNK_BYTES));
    this.at = 0;
  }

  varint(value: number): void {
    this.at = writeVarint(this.bytes, this.at, value);
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** After its length; a null as Kafka has it for `undefined`. */
  value(value: string | Uint8Array | undefined): void {
    if (value === undefined) this.varint(-1);
    else if (typeof value === 'string') this.#text(value);
    else {
      this.varint(value.length);
      this.raw(value);
    }
  }

  /** The length stands before the text, and is known after it. */
  #text(text: string): void {
    const { bytes, at } = this;
    const usual = at + varintBytes(text.length);
    const written = bytes.write(text, usual);
    const from = at + varintBytes(written);
    if (from !== usual) bytes.copyWithin(from, usual, usual + written);
    writeVarint(bytes, at, written);
    this.at = from + written;
  }
}

/** Room that {@link RecordWriter.value} may need. */
export function mostBytesOf(value: string | Uint8Array | undefined): number {
  if (typeof value !== 'string') return LONGEST_VARINT + (value?.length ?? 0);
  const most = value.length < MEASURED_LENGTH ? value.length * MOST_BYTES_OF_A_UNIT : Buffer.byteLength(value);
  return LONGEST_VARINT + most;
}
