/** grpc-js wants a Buffer where we say Uint8Array: the same memory, seen as one. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export const asBytes = (bytes: Buffer): Buffer => bytes;
