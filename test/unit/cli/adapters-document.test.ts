import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { adaptersDocument } from '../../../src/cli/adapters-document.ts';
import { PACKAGE_FOLDER } from '../../../src/cli/package.ts';

test('docs/adapters.md matches the schemas of the adapters (npm run generate writes it)', async () => {
  expect(readFileSync(join(PACKAGE_FOLDER, 'docs/adapters.md'), 'utf8')).toBe(adaptersDocument(await loadBuiltIns()));
});
