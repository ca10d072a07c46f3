/** Before each gRPC message: whether it is compressed (one octet), and its length (four). */
export const PREFIX_BYTES = 5;

/** A message as gRPC sends it, not compressed. */
export function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}
