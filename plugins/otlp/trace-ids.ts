export const TRACE_ID_DIGITS = 32;
export const SPAN_ID_DIGITS = 16;
const HEX = /^[0-9a-f]+$/i;

/** The octets of an id in hexadecimal digits, a shorter one padded from the left; `undefined` if it is none, or zero. */
export function idOf(text: unknown, digits: number): Buffer | undefined {
  if (typeof text !== 'string' || text.length > digits || !HEX.test(text) || /^0*$/.test(text)) return undefined;
  return Buffer.from(text.padStart(digits, '0'), 'hex');
}
