/** Attributes of a key, from a file of rows. */
import { z } from 'zod';
import { defineAdapter, watchedFile } from 'sluice/plugin';
import { COLUMN_TYPES, columnsSetting } from '../values/cell.ts';
import { formatOf } from './rows.ts';
import { readTable } from './table.ts';

const config = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .describe(
        'A file of rows: CSV with a header, or JSON or YAML (a list of rows, or a map from keys to rows). The file is watched; ' +
          'the last good rows stay in force while it is invalid, empty or missing. It is read one second after its last change; ' +
          'to replace a large file, write a new one and rename it.',
      )
      .meta({ examples: ['tenants.csv'] }),
    format: z.enum(['csv', 'json', 'yaml']).optional().describe('Format of the file. Default: by its extension.'),
    maxFileBytes: z
      .int()
      .min(1)
      .max(64 * 1024 * 1024)
      .default(4 * 1024 * 1024)
      .describe('A larger file is invalid.'),
    key: z
      .string()
      .min(1)
      .describe('The column with the keys, which must be unique.')
      .meta({ examples: ['tenant'] }),
    columns: columnsSetting(
      `The columns that become attributes, with their types: ${COLUMN_TYPES.join(', ')}. An empty cell is absent.`,
    ),
  })
  .superRefine(({ file, format }, context) => {
    if (format === undefined && formatOf(file) === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['format'],
        message: `the extension of ${file} is unknown; set the format to csv, json or yaml`,
      });
    }
  });

export default defineAdapter({
  name: 'enrich-table',
  summary: "Looks up a key in a file of rows and returns that row's columns.",
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
