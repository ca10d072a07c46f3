/** Bursts to a plugin behind an address that is killed in each: what the server keeps of them does not grow. ROUNDS=30 for figures. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { burstOfChecks } from '../parts/burst.ts';
import { program } from './command.ts';
import { serveSluice, type ServedSluice, until } from './sluice.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 6);
const CALLS = 10_000;
const MIB = 1024 * 1024;

const PLUGIN = `
import { allow, defineAdapter } from 'sluice/plugin';
import { z } from 'zod';
export default defineAdapter({
  name: 'check-a',
  summary: 'Allows.',
  config: z.strictObject({}),
  serves: { check: { input: { user: 'string', path: 'string' } } },
  open: async () => ({ check: () => async () => (await null, allow()) }),
});`;

const POLICY = `
plugins: [./a.ts]
handlers: { a: { adapter: check-a, run: { dial: "unix:a.sock" }, deadline: 20s } }
rules:
  - { name: r, check: { handler: a, input: { user: 'request.headers["x-request-id"]', path: request.path } } }
`;

/** Loaded before the server: collects garbage and tells what is left when it finds the file \`ask\`. */
const HEAP = `
const { existsSync, renameSync, unlinkSync, writeFileSync } = require('node:fs');
require('node:v8').setFlagsFromString('--expose-gc');
const gc = require('node:vm').runInNewContext('gc');
const at = (name) => process.env.HEAP_FOLDER + '/' + name;
setInterval(() => {
  if (!existsSync(at('ask'))) return;
  unlinkSync(at('ask'));
  gc();
  gc();
  writeFileSync(at('told.new'), JSON.stringify(process.memoryUsage()));
  renameSync(at('told.new'), at('told'));
}, 20).unref();
`;

async function heapOf(folder: string): Promise<NodeJS.MemoryUsage> {
  rmSync(join(folder, 'told'), { force: true });
  writeFileSync(join(folder, 'ask'), '');
  await until('the heap', () => (existsSync(join(folder, 'told')) ? true : undefined));
  return JSON.parse(readFileSync(join(folder, 'told'), 'utf8')) as NodeJS.MemoryUsage;
}

async function answers({ grpcPort }: ServedSluice): Promise<true | undefined> {
  const { passed } = await burstOfChecks(grpcPort, 'ann', { calls: 1, timeoutMs: 5000 });
  return passed === 1 ? true : undefined;
}

test(
  'after each burst of 10 000, with a kill in it, the heap is as before',
  { timeout: 60_000 + ROUNDS * 30_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-kills-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'heap.cjs'), HEAP);
    const served = await serveSluice(POLICY, {
      files: { 'a.ts': PLUGIN },
      env: { NODE_OPTIONS: `--require ${join(folder, 'heap.cjs')}`, HEAP_FOLDER: folder },
    });
    onTestFinished(async () => {
      await served.stop();
    });
    const start = async () =>
      program(['plugins', 'serve', './a.ts', '--listen', 'unix:a.sock'], /serving plugins/, { cwd: served.folder });
    let plugin = await start();
    onTestFinished(async () => {
      await plugin.stop();
    });
    const after: NodeJS.MemoryUsage[] = [];
    const failed: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await until('the plugin', () => answers(served), 60_000);
      const burst = burstOfChecks(served.grpcPort, 'ann', { calls: CALLS, timeoutMs: 60_000 });
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 300)); // somewhere in it
      plugin.signal('SIGKILL');
      const { passed, refused, failed: others } = await burst;
      failed.push(CALLS - passed - refused - Object.values(others).reduce((sum, n) => sum + n, 0));
      await plugin.ended;
      rmSync(join(served.folder, 'a.sock'), { force: true });
      plugin = await start();
      after.push(await heapOf(folder));
    }
    const used = after.map(({ heapUsed, external }) => (heapUsed + external) / MIB);
    if (process.env['ROUNDS'] !== undefined)
      process.stderr.write(
        `${after.map(({ rss, heapTotal }, n) => `${n + 1}: used ${used[n]?.toFixed(1)} total ${Math.round(heapTotal / MIB)} rss ${Math.round(rss / MIB)}`).join('\n')}\n`,
      );
    expect(failed).toEqual(failed.map(() => 0)); // each call has an answer
    // The first rounds compile and fill pools. Then it rises by some 0.2 MiB a round: verdicts of calls that failed are kept, 10 a second
    // after a burst, 4096 at most (docs/verdicts.md).
    const before = Math.max(...used.slice(0, 2));
    expect(Math.max(...used.slice(2)), used.join(' ')).toBeLessThan(before + 6);
  },
);
