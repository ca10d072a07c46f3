/** A report's values as JSON. */

/** Timestamps become ISO 8601 text, bytes base64, and numbers that JSON lacks (NaN, infinities, big integers) text. */
export const reportJson = (value: unknown): string => JSON.stringify(value, isPlain(value) ? undefined : replacer);

/** Whether JSON has a form for the value and, a level below, for all of its values; a replacer is called for each of them. */
function isPlain(value: unknown): boolean {
  if (!isObject(value)) return hasForm(value);
  if (Array.isArray(value) || value instanceof Uint8Array) return false;
  for (const name in value) if (!hasForm(value[name])) return false;
  return true;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
const hasForm = (value: unknown): boolean =>
  typeof value === 'string' || typeof value === 'boolean' || value === null || Number.isFinite(value);

function replacer(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const bytes = this[key]; // of a Buffer, the value is what its toJSON made
  if (bytes instanceof Uint8Array) return Buffer.from(bytes).toString('base64');
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}
