/** A report's values as JSON. */

/** Timestamps become ISO 8601 text, bytes base64, and numbers that JSON lacks (NaN, infinities, big integers) text. */
export const reportJson = (value: unknown): string => JSON.stringify(value, replacer);

function replacer(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const bytes = this[key]; // of a Buffer, the value is what its toJSON made
  if (bytes instanceof Uint8Array) return Buffer.from(bytes).toString('base64');
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}
