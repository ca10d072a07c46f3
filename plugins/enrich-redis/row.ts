import { Rejected } from 'sluice/plugin';
import { type ColumnType, valueOf } from '../values/cell.ts';

export type Row = Readonly<Record<string, unknown>>;

/** A longer field is rejected, since it would be cached for each key. */
const MAX_CHARACTERS = 65_536;

/** Approximate size of a row in bytes. */
export const weightOf = (row: Row | undefined): number =>
  Object.values(row ?? {}).reduce<number>(
    (sum, value) => sum + 32 + (typeof value === 'string' ? value.length * 2 : 0),
    0,
  );

/** Fields of a hash as values of their types; `undefined` if there are none. Throws {@link Rejected} if one is of another type. */
export function rowOf(
  key: string,
  cells: readonly (string | null)[],
  columns: Readonly<Record<string, ColumnType>>,
): Row | undefined {
  const row: Record<string, unknown> = {};
  for (const [at, [name, type]] of Object.entries(columns).entries()) {
    const { length } = cells[at] ?? '';
    if (length > MAX_CHARACTERS)
      throw new Rejected(
        `the field ${name} of ${key.slice(0, 64)}: ${length} characters, at most ${MAX_CHARACTERS} are allowed`,
      );
    try {
      const value = valueOf(cells[at], type);
      if (value !== undefined) row[name] = value;
    } catch (error) {
      throw new Rejected(
        `the field ${name} of ${key.slice(0, 64)}: ${error instanceof Error ? error.message : String(error)}`,
        undefined,
        { cause: error },
      );
    }
  }
  return Object.keys(row).length === 0 ? undefined : row;
}
