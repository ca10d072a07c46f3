/** Text of a file -> rows of named cells. Throws with the line or row that is invalid. */
import type { Turn } from 'sluice/plugin';
import { type CsvRow, parseCsv } from './csv.ts';
import { parseYamlRows } from './yaml-rows.ts';

export type Format = 'csv' | 'json' | 'yaml';

export interface Row {
  /** Its position for error messages: `line 3`, `row 2`. */
  readonly at: string;
  readonly cell: (column: string) => unknown;
}

export async function rowsOf(
  text: string,
  format: Format,
  key: string,
  columns: readonly string[],
  turn: Turn,
): Promise<Iterable<Row>> {
  switch (format) {
    case 'csv':
      return csvRows(text, [key, ...columns], turn);
    case 'json':
      return objectRows(JSON.parse(text) as unknown, key);
    case 'yaml':
      return objectRows(await parseYamlRows(text, turn), key);
  }
}

/** By the file's extension; `undefined` for an unknown one. */
export function formatOf(path: string): Format | undefined {
  const [, extension = ''] = /\.([a-z]+)$/i.exec(path) ?? [];
  return FORMATS.get(extension.toLowerCase());
}

const FORMATS: ReadonlyMap<string, Format> = new Map([
  ['csv', 'csv'],
  ['json', 'json'],
  ['yaml', 'yaml'],
  ['yml', 'yaml'],
]);

async function csvRows(text: string, needed: readonly string[], turn: Turn): Promise<Iterable<Row>> {
  const [header, ...rows] = await parseCsv(text, turn);
  if (header === undefined) throw new Error('line 1: expected a header that names the columns');
  const places = new Map(header.fields.map((name, at) => [name.trim(), at]));
  const missing = needed.filter((name) => !places.has(name));
  if (missing.length > 0)
    throw new Error(`line 1: the header has no column ${missing.join(', ')}; it has ${[...places.keys()].join(', ')}`);
  return rowsBelow(header, rows, places);
}

function* rowsBelow(header: CsvRow, rows: readonly CsvRow[], places: ReadonlyMap<string, number>): Generator<Row> {
  for (const { line, fields } of rows) {
    if (fields.length !== header.fields.length)
      throw new Error(`line ${line}: ${fields.length} fields, but the header has ${header.fields.length}`);
    yield { at: `line ${line}`, cell: (column) => fields[places.get(column) ?? -1] };
  }
}

/** A list of rows, or a map from each row's key to its row. */
function* objectRows(parsed: unknown, key: string): Generator<Row> {
  if (Array.isArray(parsed)) {
    for (const [at, row] of parsed.entries()) yield objectRow(row, `row ${at + 1}`);
    return;
  }
  if (typeof parsed !== 'object' || parsed === null)
    throw new Error('expected a list of rows, or a map from keys to rows');
  for (const [name, row] of Object.entries(parsed)) {
    const cells = objectRow(row, `row "${name}"`);
    yield { at: cells.at, cell: (column) => (column === key ? name : cells.cell(column)) };
  }
}

function objectRow(row: unknown, at: string): Row {
  if (typeof row !== 'object' || row === null || Array.isArray(row))
    throw new Error(`${at}: expected names and values`);
  return {
    at,
    cell: (column) => (Object.hasOwn(row, column) ? (row as Readonly<Record<string, unknown>>)[column] : undefined),
  };
}
