import { Buffer } from 'node:buffer'; // `globalThis.Buffer` is a getter; a local reference is faster on the hot path

/** A range of bytes inside a buffer; avoids allocating a subarray per message. */
export interface ByteRange {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

export const rangeOf = (bytes: Uint8Array): ByteRange => ({ bytes, from: 0, to: bytes.length });

/** A view of the same memory. */
export const viewOf = ({ bytes, from, to }: ByteRange): Uint8Array =>
  from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);

/** The same memory as a Buffer, which decodes text and is required by grpc-js. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
