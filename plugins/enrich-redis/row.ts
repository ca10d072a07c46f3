import { Rejected } from 'sluice/plugin';
import { type ColumnType, valueOf } from '../columns/cell.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Fields of a hash as values of their types; `undefined` where there are none. Throws {@link Rejected} where one is of another type. */
export function rowOf(key: string, cells: readonly (string | null)[], columns: Readonly<Record<string, ColumnType>>): Row | undefined {
  const row: Record<string, unknown> = {};
  for (const [at, [name, type]] of Object.entries(columns).entries()) {
    try {
      const value = valueOf(cells[at], type);
      if (value !== undefined) row[name] = value;
    } catch (error) {
      throw new Rejected(`the field ${name} of ${key}: ${error instanceof Error ? error.message : String(error)}`, undefined, { cause: error });
    }
  }
  return Object.keys(row).length === 0 ? undefined : row;
}
