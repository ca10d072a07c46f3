/** node:test ends when nothing keeps the process; a call that waits for another process, or for a backend that is away, keeps none. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../../e2e/command.ts';

const TEST = `
import { describe, test } from 'node:test';
import { allow, defineAdapter, deny, PERMISSION_DENIED } from 'sluice/plugin';
import { testAdapter } from 'sluice/plugin/testing';
import { z } from 'zod';
const adapter = defineAdapter({
  name: 'check-slow',
  summary: 'Answers a little later.',
  config: z.strictObject({}),
  serves: { check: { input: { user: 'string' } } },
  open: async () => ({
    check: () => async ({ user }) => {
      await new Promise((resolve) => setTimeout(resolve, 20).unref());
      return user === 'ann' ? allow() : deny(PERMISSION_DENIED, 'not she');
    },
  }),
});
testAdapter(adapter, { runner: { describe, test }, config: {}, check: { allowed: [{ user: 'ann' }], denied: [{ user: 'bob' }] } });
`;

test('the behaviours run to their end by node itself, whatever they wait for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-kit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'slow.test.mjs'), TEST);
  const { VITEST: _, NODE_OPTIONS: __, NODE_TEST_CONTEXT: ___, ...env } = process.env;
  const args = ['--import', join(ROOT, 'src/adapters/register.ts'), '--test', '--test-reporter=tap', 'slow.test.mjs'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, env }).catch(
    (error: { readonly stdout: string }) => error,
  );
  expect(stdout).toMatch(/^# cancelled 0$/m);
  expect(stdout).toMatch(/^# fail 0$/m);
  expect(Number(/^# pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(10);
}, 60_000);
