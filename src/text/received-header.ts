/**
 * What Envoy has received of a request when it asks, as a header of its call: no field of a check says whether a body follows that states
 * no length (docs/envoy.md#sizes).
 */
export const RECEIVED_HEADER = 'x-sluice-received';

/** For Envoy, which leaves the duration empty until it has received the end of the request. */
export const RECEIVED_VALUE = 'bytes=%BYTES_RECEIVED%;ms=%REQUEST_DURATION%';

/** Bytes of a body that Envoy has received to its end; `undefined` if more may follow. */
export function wholeBodyBytes(received: string): number | undefined {
  const [, bytes] = /^bytes=(\d{1,15});ms=\d+$/.exec(received) ?? [];
  return bytes === undefined ? undefined : Number(bytes);
}

/** Of a body of so many bytes, received at once. */
export const receivedHeader = (bytes: number | bigint): string => `bytes=${bytes};ms=0`;
