/** Rows by key, with typed cells: a lookup returns a row that was built when the file was read. */
import type { Turn } from 'sluice/plugin';
import { type ColumnType, valueOf } from '../values/cell.ts';
import { type Format, rowsOf } from './rows.ts';

export type Table = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

/** Throws with the line or row, and the column, that is invalid. */
export async function readTable(
  text: string,
  format: Format,
  key: string,
  columns: Readonly<Record<string, ColumnType>>,
  turn: Turn,
): Promise<Table> {
  const table = new Map<string, Readonly<Record<string, unknown>>>();
  const typed = Object.entries(columns);
  for (const { at, cell } of await rowsOf(text, format, key, Object.keys(columns), turn)) {
    const name = valueOf(cell(key), 'string') as string | undefined;
    if (name === undefined) throw new Error(`${at}: the key "${key}" is empty`);
    if (table.has(name)) throw new Error(`${at}: duplicate key "${name}"`);
    const values: [string, unknown][] = [];
    for (const [column, type] of typed) {
      try {
        const value = valueOf(cell(column), type);
        if (value !== undefined) values.push([column, value]);
      } catch (error) {
        throw new Error(`${at}, ${column}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        });
      }
    }
    // No prototype: a column may be named like a property of every object (constructor), and its cell may be empty.
    table.set(
      name,
      Object.freeze(
        Object.assign(Object.create(null), Object.fromEntries(values)) as Readonly<Record<string, unknown>>,
      ),
    );
    const wait = turn();
    if (wait !== undefined) await wait;
  }
  return table;
}
