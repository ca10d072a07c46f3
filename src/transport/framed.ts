/** The prefix of each gRPC message: one byte for the compressed flag, four for the length. */
export const PREFIX_BYTES = 5;

/** A message with its prefix, not compressed. */
export function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}
