/** Processes that a test starts end with it, also when it is interrupted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ServedSluice, serveSluice, until } from './sluice.ts';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s to who started a part ends the part', async (signal) => {
  const code = `const { startChild } = await import(${JSON.stringify(join(import.meta.dirname, '../parts/child.ts'))}); console.log(startChild('sleep', ['600']).pid);`;
  const own = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(own.stdout, 'data')) as [Buffer];
  const pid = Number(String(line));
  expect(isAlive(pid)).toBe(true);
  own.kill(signal);
  await once(own, 'exit');
  await until('the part is gone', () => (isAlive(pid) ? undefined : true));
});

test('a test that fails leaves no server and no folder behind, also of a server that it has stopped', async () => {
  let left: ServedSluice | undefined;
  const failing = async (): Promise<never> => {
    await using sluice = await serveSluice('rules: [{ name: none, match: request.path == "/", deny: {} }]');
    left = sluice;
    sluice.child.kill('SIGSTOP');
    throw new Error('the test fails');
  };
  await expect(failing()).rejects.toThrow('the test fails');
  expect([isAlive(left?.child.pid ?? 0), existsSync(left?.folder ?? '/')]).toEqual([false, false]);
});
