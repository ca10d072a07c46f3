/** Facts about a key, from a file of rows. */
import { z } from 'zod';
import { defineAdapter, watchedFile } from 'sluice/plugin';
import { COLUMN_TYPES } from '../columns/cell.ts';
import { formatOf } from './rows.ts';
import { readTable } from './table.ts';

const config = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .describe(
        'A file of rows: CSV with a header, JSON or YAML (a list of rows, or a map from keys to rows). Watched: a file that turns bad, empty, or is gone keeps the last good rows. It is read when it has stood still for a second; who takes longer to write it writes aside and renames.',
      )
      .meta({ examples: ['tenants.csv'] }),
    format: z.enum(['csv', 'json', 'yaml']).optional().describe('How the file is written; by its ending where absent.'),
    maxFileBytes: z
      .int()
      .min(1)
      .max(64 * 1024 * 1024)
      .default(4 * 1024 * 1024)
      .describe('A larger file is bad.'),
    key: z
      .string()
      .min(1)
      .describe('The column that a key is looked up in. Each key stands there once.')
      .meta({ examples: ['tenant'] }),
    columns: z
      .record(
        z.string().regex(/^[a-z_][a-z0-9_]*$/i, 'a column becomes an attribute: letters, digits and _'),
        z.enum(COLUMN_TYPES),
      )
      .refine((columns) => Object.keys(columns).length > 0, 'expected at least one column')
      .describe(`The columns that a row gives, with their types: ${COLUMN_TYPES.join(', ')}. An empty cell is absent.`)
      .meta({ examples: [{ plan: 'string', limit: 'int' }] }),
  })
  .superRefine(({ file, format }, context) => {
    if (format === undefined && formatOf(file) === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['format'],
        message: `the ending of ${file} does not tell its format; expected csv, json or yaml here`,
      });
    }
  });

export default defineAdapter({
  name: 'enrich-table',
  summary: "Looks a key up in a file of rows and gives the row's columns.",
  config,
  serves: {
    enrich: {
      input: { key: 'string' },
      output: ({ columns }: z.output<typeof config>) => columns,
    },
  },
  selfContained: true,
  async open({ file, format = formatOf(file) ?? 'csv', maxFileBytes, key, columns }, host) {
    const table = await watchedFile(host, {
      path: file,
      maxBytes: maxFileBytes,
      parse: (text, turn) => readTable(text, format, key, columns, turn),
    });
    return { lookup: () => (input) => table.current.get(input.key) };
  },
});
