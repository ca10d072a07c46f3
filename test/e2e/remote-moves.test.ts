/** A burst of 10 000 quota calls while the plugin behind an address is restarted, Sluice stops, or both: each charge has its call. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { burstOfChecks } from '../parts/burst.ts';
import { program } from './command.ts';
import { serveSluice, until } from './sluice.ts';

const CALLS = 10_000;

/** Grants everything, and tells what it has charged when it is closed. */
const PLUGIN = `
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineAdapter, quota } from 'sluice/plugin';
import { z } from 'zod';
export default defineAdapter({
  name: 'quota-a',
  summary: 'Counts.',
  config: z.strictObject({}),
  serves: { quota: { algorithms: ['fixed'] } },
  async open(_, host) {
    let charged = 0;
    return {
      ...quota({
        bucket: (rule) => rule,
        async charge(asks) {
          await null;
          charged += asks.length;
          return asks.map(({ limit }) => ({ granted: true, limit, remaining: 1, resetMs: 1000 }));
        },
      }),
      close: () => appendFileSync(process.env.CHARGED, charged + '\\n'),
    };
  },
});`;
const POLICY = `
plugins: [./a.ts]
handlers: { a: { adapter: quota-a, run: { dial: "unix:a.sock" }, deadline: 20s } }
rules:
  - name: limited
    calls: [http]
    match: request.method == "GET"
    quota: { handler: a, limit: 1000000, per: 1h, key: ['"all"'] }
    onError: deny
`;

test.each([
  ['Sluice stops', { stops: true, restarts: false }],
  ['the plugin is restarted', { stops: false, restarts: true }],
  ['both end', { stops: true, restarts: true }],
])(
  '%s: no call passes without a charge, none is charged twice, and each ends',
  async (_, { stops, restarts }) => {
    await using served = await serveSluice(POLICY, { files: { 'a.ts': PLUGIN }, args: ['--grace', '20'] });
    const CHARGED = join(served.folder, 'charged');
    const start = async () =>
      program(['plugins', 'serve', './a.ts', '--listen', 'unix:a.sock'], /serving plugins/, {
        cwd: served.folder,
        env: { CHARGED },
      });
    let plugin = await start();
    onTestFinished(async () => void (await plugin.stop()));
    const one = async (): Promise<number> =>
      (await burstOfChecks(served.grpcPort, 'ann', { calls: 1, timeoutMs: 5000 })).passed;
    await until('the plugin', async () => ((await one()) === 1 ? true : undefined), 60_000);
    const burst = burstOfChecks(served.grpcPort, 'ann', { calls: CALLS, timeoutMs: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 100)); // somewhere in it
    if (restarts) plugin.signal('SIGTERM');
    if (stops) {
      const exit = once(served.child, 'exit');
      served.child.kill('SIGTERM');
      expect(await exit).toEqual([0, null]);
    }
    const { passed, refused, failed } = await burst;
    expect(refused).toBe(0);
    expect(passed + Object.values(failed).reduce((sum, n) => sum + n, 0)).toBe(CALLS);
    let after = 0;
    if (restarts) {
      await plugin.ended;
      rmSync(join(served.folder, 'a.sock'), { force: true });
      plugin = await start();
      if (!stops) await until('the plugin', async () => ((after = await one()) === 1 ? true : undefined), 60_000);
    }
    await plugin.stop();
    const charged = readFileSync(CHARGED, 'utf8').trim().split('\n').map(Number);
    expect(charged.reduce((sum, n) => sum + n, 0)).toBe(1 + passed + after);
  },
  90_000,
);
