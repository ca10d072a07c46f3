/** The size of a report in memory, and its summary for log lines. */
import type { ReportEntry } from '../../adapters/contract.ts';

/** Overhead of a field beside its text. */
const FIELD_BYTES = 16;
const ENTRY_BYTES = 64;
/** Values of an entry that are measured; the rest is extrapolated. */
const MAX_MEASURED = 1000;
/** Deeper than JSON of a request may nest; deeper values are not measured. */
const DEEPEST = 32;

/** Estimated size of named values: their texts, nested ones included, and an overhead per field. */
export function inputBytes(input: Readonly<Record<string, unknown>>): number {
  let bytes = ENTRY_BYTES;
  let measured = 0;
  for (const name in input) {
    const value = input[name];
    if ((typeof value === 'object' && value !== null) || ++measured > MAX_MEASURED)
      return ENTRY_BYTES + fieldsBytes(input, { values: MAX_MEASURED }, 0);
    bytes += FIELD_BYTES + name.length + (typeof value === 'string' ? value.length : 8);
  }
  return bytes;
}

interface Left {
  values: number;
}

function valueBytes(value: unknown, left: Left, depth: number): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 8;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (value instanceof Date || depth >= DEEPEST) return ENTRY_BYTES;
  return (
    ENTRY_BYTES +
    (Array.isArray(value)
      ? listBytes(value, left, depth + 1)
      : fieldsBytes(value as Readonly<Record<string, unknown>>, left, depth + 1))
  );
}

function fieldsBytes(fields: Readonly<Record<string, unknown>>, left: Left, depth: number): number {
  let bytes = 0;
  let measured = 0;
  for (const name in fields) {
    if (left.values-- <= 0) return rest(bytes, measured, Object.keys(fields).length);
    bytes += FIELD_BYTES + name.length + valueBytes(fields[name], left, depth);
    measured++;
  }
  return bytes;
}

function listBytes(list: readonly unknown[], left: Left, depth: number): number {
  let bytes = 0;
  for (const [measured, value] of list.entries()) {
    if (left.values-- <= 0) return rest(bytes, measured, list.length);
    bytes += FIELD_BYTES + valueBytes(value, left, depth);
  }
  return bytes;
}

const rest = (bytes: number, measured: number, all: number): number =>
  measured === 0 ? all * FIELD_BYTES : Math.round((bytes / measured) * all);

const SHOWN_FIELDS = 8;

/** `rule audit, id 3hzda0-1, 4180 bytes: path=text of 12, code=200`. Texts, lists and maps show only their size; they may hold secrets. */
export function shownReport(rule: string, { id, input }: ReportEntry, bytes: number): string {
  const fields = Object.entries(input);
  const shown = fields.slice(0, SHOWN_FIELDS).map(([name, value]) => `${name}=${shownValue(value)}`);
  return `rule ${rule}, id ${id}, ${bytes} bytes: ${shown.join(', ')}${fields.length > SHOWN_FIELDS ? `, and ${fields.length - SHOWN_FIELDS} more` : ''}`;
}

function shownValue(value: unknown): string {
  if (typeof value === 'string') return `text of ${value.length}`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'object' || value === null) return 'null';
  if (value instanceof Date) return 'time';
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  return Array.isArray(value) ? `list of ${value.length}` : `map of ${Object.keys(value).length}`;
}
