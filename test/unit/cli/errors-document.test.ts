/** docs/errors.md, the tables and the codes in use agree. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ErrorTable, errorsDocument, errorTables } from '../../../src/cli/errors-document.ts';
import { PACKAGE_FOLDER } from '../../../src/cli/package.ts';

/** A comment may say what codes look like. */
const withoutComments = (source: string): string => source.replaceAll(/\/\*[\s\S]*?\*\//g, '');

/** Values of Istio's documents, its variables and its chains of iptables, which are no codes of ours. */
const WORDS_OF_ISTIO: ReadonlySet<string> = new Set([
  'ISTIO_MUTUAL',
  'ISTIO_KUBE_APP_PROBERS',
  'MESH_EXTERNAL',
  'MESH_INTERNAL',
  'ISTIO_INBOUND',
  'ISTIO_OUTPUT',
  'ISTIO_REDIRECT',
  'ISTIO_IN_REDIRECT',
  'ISTIO_DIVERT',
  'ISTIO_TPROXY',
  'ISTIO_DELTA_XDS',
]);

let tables: ErrorTable[] = [];
const declared = new Set<string>();
/** Code, and the files that say it in quotes. */
const used = new Map<string, string[]>();

beforeAll(async () => {
  tables = await errorTables();
  for (const { rows } of tables) for (const code of Object.keys(rows)) declared.add(code);
  const areas = new Set([...declared].map((code) => code.split('_')[0]));
  const files = globSync('{src,plugins}/**/*.ts', { cwd: PACKAGE_FOLDER }).filter(
    (file) => !file.endsWith('.test.ts') && !file.endsWith('/errors.ts') && !file.includes('/generated/'),
  );
  for (const file of files) {
    for (const [, code = ''] of withoutComments(readFileSync(join(PACKAGE_FOLDER, file), 'utf8')).matchAll(
      /['"`]([A-Z]+(?:_[A-Z0-9]+)+)['"`]/g,
    )) {
      if (areas.has(code.split('_')[0]) && !WORDS_OF_ISTIO.has(code)) used.set(code, [...(used.get(code) ?? []), file]);
    }
  }
});

describe('error codes', () => {
  test('every code that is used is declared', () => {
    expect([...used].filter(([code]) => !declared.has(code))).toEqual([]);
  });

  test('every declared code is used', () => {
    expect([...declared].filter((code) => !used.has(code))).toEqual([]);
  });

  test('every code has a meaning and a next step, in sentences', () => {
    const poor = tables
      .flatMap(({ rows }) => Object.entries(rows))
      .filter(([, { means, fix }]) => !/^[A-Z`{].*[.!)]$/s.test(means) || !/^[A-Z`{].*[.!)]$/s.test(fix));
    expect(poor).toEqual([]);
  });

  test('docs/errors.md matches the tables (npm run generate writes it)', () => {
    expect(readFileSync(join(PACKAGE_FOLDER, 'docs/errors.md'), 'utf8')).toBe(errorsDocument(tables));
  });

  test('a code in two tables is an error', () => {
    const row = { means: 'A.', fix: 'B.' };
    expect(() =>
      errorsDocument([
        { file: 'a', rows: { X_Y: row } },
        { file: 'b', rows: { X_Y: row } },
      ]),
    ).toThrow('X_Y is declared in a and in b');
  });
});
