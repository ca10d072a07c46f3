/** Numbers of Kafka's records: zigzag, seven bits a byte, the lowest first (kafka.apache.org/documentation/#recordbatch). */

/** Room for any varint of a safe integer. */
export const LONGEST_VARINT = 8;

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value); rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Returns the place after it. */
export function writeVarint(into: Buffer, at: number, value: number): number {
  let end = at;
  let rest = zigzag(value);
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) into[end++] = (rest % 0x80) | 0x80;
  into[end++] = rest;
  return end;
}

/** Without shifts, which have 32 bits; times differ by more. */
const zigzag = (value: number): number => (value >= 0 ? value * 2 : value * -2 - 1);
