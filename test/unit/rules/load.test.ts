/** How a policy is loaded: from texts that another thread may have read, and beside calls that are answered. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/built-in.ts';
import { createEngine } from '../../../src/core/engine.ts';
import { loadPolicy, loadPolicyFiles, loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
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

/** The longest time between two turns of the event loop while `work` goes on, in ms of this thread's CPU: others load the machine too. */
async function longestGapMs(work: () => Promise<unknown>): Promise<number> {
  const cpuMs = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let last = cpuMs();
  let longest = 0;
  const look = (): void => {
    const now = cpuMs();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  return longest;
}

describe('the event loop goes round while ten thousand rules load', () => {
  const rule = (at: number): string => `{ name: r-${at}, match: 'request.method == "GET" && request.url_path == "/a/${at}"', deny: { status: 403 } }`;
  const rules = Array.from({ length: 10_000 }, (_, at) => rule(at));
  test.each([
    ['a block', `rules:\n${rules.map((one) => `  - ${one}\n`).join('')}`],
    ['one line', `rules: [${rules.join(', ')}]\n`],
  ])('written as %s', async (_form, text) => {
    let policy: Policy | undefined;
    const gapMs = await longestGapMs(async () => { ({ policy } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters })); });
    expect(policy?.rules.length).toBe(10_000);
    expect(gapMs).toBeLessThan(400); // in one go: over a second; 20 ms where nothing else runs
    const engine = createEngine({ openHandlers: () => { throw new Error('no handler'); } });
    onTestFinished(() => engine.drain());
    const loaded = policy;
    if (loaded === undefined) return;
    expect(await longestGapMs(() => engine.use(loaded))).toBeLessThan(400);
  }, 60_000);
});
