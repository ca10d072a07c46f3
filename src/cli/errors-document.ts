/**
 * Generates docs/errors.md from the tables that declare the codes.
 * **In**: every `errors.ts` of src and plugins. **Out**: the page. **Fails**: if two tables declare the same code.
 */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_FOLDER } from './package.ts';
import { tableCell } from './table-cell.ts';

export interface ErrorRow {
  readonly means: string;
  readonly fix: string;
}
export interface ErrorTable {
  /** Relative to the project: `src/cli/errors.ts`. */
  readonly file: string;
  readonly rows: Readonly<Record<string, ErrorRow>>;
}

/** Only from source: the package contains the page, not the tables' sources. */
export async function errorTables(): Promise<ErrorTable[]> {
  const files = globSync('{src,plugins}/**/errors.ts', { cwd: PACKAGE_FOLDER }).toSorted();
  return Promise.all(
    files.map(async (file) => {
      const module = (await import(join(PACKAGE_FOLDER, file))) as Readonly<Record<string, unknown>>;
      const tables = Object.entries(module)
        .filter(([name]) => name.endsWith('_ERRORS'))
        .map(([, table]) => table as ErrorTable['rows']);
      return { file, rows: Object.assign({}, ...tables) as ErrorTable['rows'] };
    }),
  );
}

export function errorsDocument(tables: readonly ErrorTable[]): string {
  const declaredIn = new Map<string, string>();
  const rows = tables.flatMap(({ file, rows: table }) =>
    Object.entries(table).map(([code, row]) => {
      const other = declaredIn.get(code);
      if (other !== undefined)
        throw new Error(`${code} is declared in ${other} and in ${file}; each code has one table`);
      declaredIn.set(code, file);
      return { code, ...row };
    }),
  );
  const areas = Map.groupBy(
    rows.toSorted((a, b) => (a.code < b.code ? -1 : 1)),
    ({ code }) => code.split('_')[0] ?? '',
  );
  return [
    '<!-- Written by `npm run generate` from the tables in each errors.ts; a test fails when it is stale. -->',
    '# Error codes',
    '',
    'What a code means, and what to do. Findings about a policy are printed as `file:line:col CODE message`.',
    ...[...areas].flatMap(([area, entries]) => [
      '',
      `## ${area}`,
      '',
      '| code | means | what to do |',
      '|---|---|---|',
      ...entries.map(rowText),
    ]),
    '',
  ].join('\n');
}

const rowText = ({ code, means, fix }: ErrorRow & { readonly code: string }): string =>
  `| \`${code}\` | ${tableCell(means)} | ${tableCell(fix)} |`;
