/** Cells of tables -> values of attribute types. */
import { isIP } from 'node:net';
import { goDurationMs } from 'sluice/plugin';
import { z } from 'zod';

export const COLUMN_TYPES = ['string', 'int', 'double', 'bool', 'timestamp', 'duration', 'ip'] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

/** The setting that has the type of each column. */
export const columnsSetting = (description: string) =>
  z
    .record(
      z.string().regex(/^[a-z_][a-z0-9_]*$/i, 'a column becomes an attribute: letters, digits and _'),
      z.enum(COLUMN_TYPES),
    )
    .refine((columns) => Object.keys(columns).length > 0, 'expected at least one column')
    .describe(description)
    .meta({ examples: [{ plan: 'string', limit: 'int' }] });

/** The cell's value in the type of its column; `undefined` for an empty cell. Throws with the expected form. */
export function valueOf(cell: unknown, type: ColumnType): unknown {
  if (cell === undefined || cell === null || cell === '') return undefined;
  if (typeof cell === 'object' && !(cell instanceof Date))
    throw new Error(`expected ${EXPECTED[type]}, found a list or a map`);
  const text = cell instanceof Date ? cell.toISOString() : String(cell as string | number | boolean | bigint);
  const value = type === 'string' ? text : READ[type](text.trim());
  if (value === undefined) throw new Error(`expected ${EXPECTED[type]}, found "${text}"`);
  return value;
}

const EXPECTED: Readonly<Record<ColumnType, string>> = {
  string: 'text',
  int: 'a whole number within 2^53',
  double: 'a number',
  bool: 'true or false',
  timestamp: 'a time like 2026-01-31T12:00:00Z',
  duration: 'a duration like 1m30s',
  ip: 'an IP address',
};

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

const READ: Readonly<Record<Exclude<ColumnType, 'string'>, (text: string) => unknown>> = {
  int: (text) => (/^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined),
  double: (text) => (NUMBER.test(text) ? Number(text) : undefined),
  bool: (text) => (/^true$/i.test(text) ? true : /^false$/i.test(text) ? false : undefined),
  timestamp(text) {
    // Without a zone the time would be ambiguous
    if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)) return undefined;
    const time = new Date(text);
    return Number.isNaN(time.getTime()) ? undefined : time;
  },
  duration: goDurationMs,
  ip: (text) => (isIP(text) === 0 ? undefined : text),
};
