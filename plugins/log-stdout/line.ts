/** One report as one line of JSON. */
import type { ReportEntry } from 'sluice/plugin';

/** `time`, `rule` and `id`, then the rule's fields in their order; a field of one of these names stands in its place. */
export function lineOf({ sink, id, timeMs, input }: ReportEntry<string>): string {
  return `${JSON.stringify({ time: new Date(timeMs).toISOString(), rule: sink, id, ...input }, readable)}\n`;
}

/** Timestamps become ISO 8601 by themselves; bytes are base64; what JSON has no number for is text. */
function readable(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}
