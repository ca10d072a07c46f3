/** docs/runbook.md explains the warnings and errors that a running `sluice serve` logs. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const SOURCES = [
  'src/{core,spool,adapters,admin,candidate}/**/*.ts',
  'src/serve/*.ts',
  'src/serve/{policy,crew}/**/*.ts',
];
/** A literal that is logged: its text up to a semicolon or a value. */
const LINE =
  /(?:\.(?:warn|error)\(|ThrottledLine\([\w.#]+, '(?:warn|error)',|\.failed\()\s*(?:'([a-zX][^';]{11,})|`([a-zX][^`;$]{11,}))/g;

test('each line has a row, by its beginning', () => {
  const rows = readFileSync(join(ROOT, 'docs/runbook.md'), 'utf8');
  const lines = globSync(SOURCES, { cwd: ROOT })
    .filter((file) => !file.startsWith('src/adapters/testing/'))
    .flatMap((file) => [...readFileSync(join(ROOT, file), 'utf8').matchAll(LINE)])
    .map(([, quoted, made]) => (quoted ?? made ?? '').trim());
  expect(lines.length).toBeGreaterThan(60);
  const isKnown = (line: string): boolean =>
    rows.includes(line) || rows.includes(line.replace(/^internal error (while \w+).*/, '... $1'));
  expect([...new Set(lines)].filter((line) => !isKnown(line))).toEqual([]);
});
