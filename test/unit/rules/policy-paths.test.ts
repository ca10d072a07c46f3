/** What is said of a policy's path that leads to no policy. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicy } from '../../../src/core/rules/load.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-paths-'));
  mkdirSync(join(folder, 'notes'));
  writeFileSync(join(folder, 'notes/policy.txt'), 'rules: []\n');
  mkdirSync(join(folder, 'none'));
  writeFileSync(join(folder, 'none/policy.yaml'), '# no rule yet\n');
  mkdirSync(join(folder, 'pipes'));
  execFileSync('mkfifo', [join(folder, 'pipes/policy.yaml')]);
  symlinkSync('b.yaml', join(folder, 'a.yaml'));
  symlinkSync('a.yaml', join(folder, 'b.yaml'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const said = async (path: string): Promise<string[]> =>
  (await loadPolicy([join(folder, path)], { adapters: await loadBuiltIns(), env: {} })).findings.map(
    ({ code, message }) => `${code} ${message}`,
  );

test.each([
  ['notes', 'RULES_NO_RULES no file of this folder ends in .yaml or .yml; only such files are read'],
  ['none', 'RULES_NO_RULES the policy has no rule; write at least one under rules:'],
  ['a.yaml', 'RULES_FILE_UNREADABLE cannot be read: its symbolic links lead back to it'],
  ['pipes', 'RULES_FILE_UNREADABLE cannot be read: it is a named pipe; write a file, or name a folder of files'],
  ['away', 'RULES_FILE_UNREADABLE cannot be read: no such file or folder'],
])('%s', async (path, expected) => {
  expect(await said(path)).toEqual([expected]);
});
