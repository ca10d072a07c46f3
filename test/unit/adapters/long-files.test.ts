/** Files of thousands of lines that handlers read are parsed in slices. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Adapter } from '../../../src/adapters/contract.ts';
import { openForTest } from '../../../src/adapters/testing/index.ts';
import basic from '../../../plugins/auth-basic/adapter.ts';
import keys from '../../../plugins/auth-keys/adapter.ts';
import table from '../../../plugins/enrich-table/adapter.ts';
import { turnsByLooks } from '../../parts/loop-turns.ts';

const folder = mkdtempSync(join(tmpdir(), 'long-files-'));
afterAll(() => rmSync(folder, { recursive: true }));
const COUNT = 3000;
const lines = (line: (at: number) => string): string => Array.from({ length: COUNT }, (_, at) => line(at)).join('');

test.each<[name: string, adapter: Adapter, text: string, config: object]>([
  ['keys.txt', keys, lines((at) => `${at.toString(16).padStart(64, '0')} o-${at}\n`), {}],
  ['users', basic, lines((at) => `u${at}:{SHA}${at.toString().padStart(27, 'a')}=\r\n`), {}],
  ['rows.csv', table, `k,plan\n${lines((at) => `k-${at},p\n`)}`, { key: 'k', columns: { plan: 'string' } }],
])('%s', async (file, adapter, text, config) => {
  writeFileSync(join(folder, file), text);
  const open = async (): Promise<void> => {
    await (await openForTest(adapter, { config: { ...config, file }, folder })).close();
  };
  await open(); // loads modules, too
  expect(await turnsByLooks(open)).toBeGreaterThan((COUNT / 5) * 0.9);
});
