import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { conformancePage, conformanceResults } from './conformance.ts';

test('docs/conformance.md is up to date (`npm run conformance` writes it)', () => {
  const results = conformanceResults();
  const wrong = results.flatMap(({ name, wrong: lines }) => lines.map((line) => `${name}: ${line}`));
  expect(conformancePage(results), wrong.join('\n')).toBe(
    readFileSync(join(import.meta.dirname, '../../../docs/conformance.md'), 'utf8'),
  );
});
