import { Buffer } from 'node:buffer'; // the global one is looked up anew each time that it is named

/** The same memory, seen as a Buffer: what makes texts, and what grpc-js wants. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export const asBytes = (bytes: Buffer): Buffer => bytes;
