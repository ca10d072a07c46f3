/** A report's values as JSON. */

/** Timestamps become ISO 8601 text, bytes base64, and numbers that JSON lacks (NaN, infinities, big integers) text. */
export const reportJson = (value: unknown): string => JSON.stringify(value, replacer);

function replacer(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}
