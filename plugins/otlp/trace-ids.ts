export const TRACE_ID_DIGITS = 32;
export const SPAN_ID_DIGITS = 16;
const HEX = /^[0-9a-f]+$/i;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * The octets of an id in hexadecimal digits, a shorter one padded from the left; `undefined` if it is none, or zero. A trace id may be a
 * UUID, as x-request-id is.
 */
export function idOf(id: unknown, digits: number): Buffer | undefined {
  if (typeof id !== 'string') return undefined;
  const text = digits === TRACE_ID_DIGITS && UUID.test(id) ? id.replaceAll('-', '') : id;
  if (text.length > digits || !HEX.test(text) || /^0*$/.test(text)) return undefined;
  return Buffer.from(text.padStart(digits, '0'), 'hex');
}
