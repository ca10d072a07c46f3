/** A policy may be read in one thread and loaded in others. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/built-in.ts';
import { loadPolicy, loadPolicyFiles } from '../../../src/core/rules/load.ts';
import { readPolicyFiles } from '../../../src/core/rules/policy-files.ts';

const adapters = await loadBuiltIns();

async function folderWith(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-load-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

test('files that were read survive structuredClone, and load to the same policy after they have changed', async () => {
  const folder = await folderWith({ 'a.yaml': 'rules: [{ name: a, deny: {} }]\n', 'b.yaml': 'rules: [{ name: b, deny: {} }]\n' });
  const files = structuredClone(await readPolicyFiles([folder]));
  const { policy } = await loadPolicy([folder], { adapters });
  await writeFile(join(folder, 'b.yaml'), 'rules: [\n');
  const later = await loadPolicyFiles(files, { adapters });
  expect(later.findings).toEqual([]);
  expect(later.policy?.rules.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(later.policy?.revision).toBe(policy?.revision);
  expect(later.policy?.watched).toEqual([folder, join(folder, 'a.yaml'), join(folder, 'b.yaml')]);
});

test('what could not be read is found by whoever loads the files', async () => {
  const folder = await folderWith({ 'a.yaml': 'rules: [{ name: a, deny: {} }]\n', 'b.yaml': Buffer.from('rules: []\n# caf\xe9\n', 'latin1') });
  const { policy, findings } = await loadPolicyFiles(structuredClone(await readPolicyFiles([folder])), { adapters });
  expect(policy).toBeUndefined();
  expect(findings.map(({ position: { file }, code }) => [file, code])).toEqual([[join(folder, 'b.yaml'), 'RULES_FILE_UNREADABLE']]);
});
