/** Loading a policy from texts that another thread may have read, without blocking calls. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { createEngine } from '../../../src/core/engine.ts';
import { loadPolicy, loadPolicyFiles, loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import { readPolicyFiles } from '../../../src/yaml/policy-files.ts';
import { type LoopTurns, loopTurnsOf } from '../../parts/loop-turns.ts';

const adapters = await loadBuiltIns();

async function folderWith(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-load-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

test('files that were read survive structuredClone, and load to the same policy after they have changed', async () => {
  const folder = await folderWith({
    'a.yaml': 'rules: [{ name: a, deny: {} }]\n',
    'b.yaml': 'rules: [{ name: b, deny: {} }]\n',
  });
  const files = structuredClone(await readPolicyFiles([folder]));
  const { policy } = await loadPolicy([folder], { adapters });
  await writeFile(join(folder, 'b.yaml'), 'rules: [\n');
  const later = await loadPolicyFiles(files, { adapters });
  expect(later.findings).toEqual([]);
  expect(later.policy?.rules.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(later.policy?.revision).toBe(policy?.revision);
  expect(later.policy?.watched).toEqual([folder, join(folder, 'a.yaml'), join(folder, 'b.yaml')]);
});

test('equal policies have one revision, wherever they are; other names or texts have others', async () => {
  const revisionIn = async (files: Readonly<Record<string, string>>, name = ''): Promise<string | undefined> =>
    (await loadPolicy([join(await folderWith(files), name)], { adapters })).policy?.revision;
  const texts = { 'a.yaml': 'rules: [{ name: a, deny: {} }]\n', 'b.yaml': 'rules: [{ name: b, deny: {} }]\n' };
  const revision = await revisionIn(texts);
  expect(revision).toMatch(/^[0-9a-f]{12}$/);
  expect(await revisionIn(texts)).toBe(revision);
  expect(await revisionIn(texts, 'a.yaml')).toBe(await revisionIn(texts, 'a.yaml'));
  expect(await revisionIn({ 'a.yaml': texts['a.yaml'], 'c.yaml': texts['b.yaml'] })).not.toBe(revision);
  expect(await revisionIn({ ...texts, 'b.yaml': `${texts['b.yaml']}\n` })).not.toBe(revision);
});

test('unreadable files become findings when the files are loaded', async () => {
  const folder = await folderWith({
    'a.yaml': 'rules: [{ name: a, deny: {} }]\n',
    'b.yaml': Buffer.from('rules: []\n# caf\xe9\n', 'latin1'),
  });
  const { policy, findings } = await loadPolicyFiles(structuredClone(await readPolicyFiles([folder])), { adapters });
  expect(policy).toBeUndefined();
  expect(findings.map(({ position: { file }, code }) => [file, code])).toEqual([
    [join(folder, 'b.yaml'), 'RULES_FILE_UNREADABLE'],
  ]);
});

describe('a truncated file', () => {
  const RULES = `rules:
  - name: first
    match: request.url_path == "/a"
    deny:
      status: 403
  - name: second
    match: request.url_path == "/x"
    deny:
      status: 403
      body: no
`;
  const cuts = async (text: string): Promise<readonly (Policy | undefined)[]> => {
    const policies: (Policy | undefined)[] = [];
    for (let end = 0; end < text.length; end++)
      policies.push((await loadPolicyText(new Map([['p.yaml', text.slice(0, end)]]), { adapters })).policy);
    return policies;
  };

  test('has no rule without its action', async () => {
    const loaded = (await cuts(RULES)).filter((policy) => policy !== undefined);
    expect(loaded.length).toBeGreaterThan(0);
    expect(loaded.flatMap(({ rules }) => rules).filter(({ action }) => action === undefined)).toEqual([]);
  });

  test('is refused until it has as many rules as its settings say', async () => {
    const loaded = (await cuts(`settings: { rules: 2 }\n${RULES}`)).filter((policy) => policy !== undefined);
    expect(new Set(loaded.map(({ rules }) => rules.length))).toEqual(new Set([2]));
  });
});

/** In one go the longest turn is most of the work; in slices some 20 ms, garbage collection and compilation included. */
const mostOf = ({ cpuMs }: LoopTurns): number => Math.max(250, cpuMs / 5);

describe('the event loop is not blocked while ten thousand rules load', () => {
  const rule = (at: number): string =>
    `{ name: r-${at}, match: 'request.method == "GET" && request.url_path == "/a/${at}"', deny: { status: 403 } }`;
  const rules = Array.from({ length: 10_000 }, (_, at) => rule(at));
  test.each([
    ['a block', `rules:\n${rules.map((one) => `  - ${one}\n`).join('')}`],
    ['one line', `rules: [${rules.join(', ')}]\n`],
  ])(
    'written as %s',
    async (_form, text) => {
      const loaded: Policy[] = [];
      const loading = await loopTurnsOf(async () => {
        const { policy } = await loadPolicyText(new Map([['p.yaml', text]]), { adapters });
        if (policy !== undefined) loaded.push(policy);
      });
      expect(loaded.map((policy) => policy.rules.length)).toEqual([10_000]);
      expect(loading.longestCpuMs).toBeLessThan(mostOf(loading));
      const engine = createEngine({
        openHandlers: () => {
          throw new Error('no handler');
        },
      });
      onTestFinished(() => engine.drain());
      for (const policy of loaded) {
        const opening = await loopTurnsOf(() => engine.use(policy));
        expect(opening.longestCpuMs).toBeLessThan(mostOf(opening));
      }
    },
    120_000,
  );
});
