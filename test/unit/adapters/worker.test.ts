/** What a handler in a worker shares with its host; its faults are in test/unit/serve/isolation.test.ts. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { allow, Unavailable } from '../../../src/adapters/contract.ts';
import { createPluginMetrics } from '../../../src/adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { eventually, testCall } from '../../../src/adapters/testing/index.ts';
import { openInWorker } from '../../../src/adapters/worker/open-in-worker.ts';
import { SILENT } from '../../../src/log/log.ts';
import lock from '../../parts/faulty/lock.ts';

const MODULE = pathToFileURL(join(import.meta.dirname, '../../parts/faulty/lock.ts')).href;

test('a lock that a thread held when it was ended is released', async () => {
  const shared = createSharedMemory();
  const environment = { log: SILENT, metrics: createPluginMetrics(SILENT), shared, worker: { number: 2, count: 2 } };
  const opened = await openInWorker(lock, { name: 'h', config: {}, folder: '/' }, environment, { module: MODULE });
  onTestFinished(() => opened.close());
  const check = opened.handler.check?.({ rule: 'r', params: undefined });
  const ask = async (value: string): Promise<unknown> => check?.({ value }, testCall());
  expect(await ask('a')).toEqual(allow());
  const word = new Int32Array(shared.get('h', 'lock', 8));
  const looping = ask('loop');
  await eventually(() => expect(word[0]).toBe(2));
  await expect(looping).rejects.toBeInstanceOf(Unavailable);
  await eventually(async () => expect(await ask('b')).toEqual(allow()));
  expect([word[0], opened.running?.().restarts]).toEqual([0, 1]);
});

test('a module without the adapter is not opened, with the reason', async () => {
  const environment = { log: SILENT, metrics: createPluginMetrics(SILENT), shared: createSharedMemory() };
  const other = MODULE.replace('lock.ts', 'adapter.ts');
  await expect(
    openInWorker(lock, { name: 'h', config: {}, folder: '/' }, environment, { module: other }),
  ).rejects.toMatchObject({
    code: 'ADAPTER_LOAD_FAILED',
    message: expect.stringContaining('exports no adapter check-lock') as string,
  });
});

test('a config that cannot be cloned is not opened, with the reason', async () => {
  const environment = { log: SILENT, metrics: createPluginMetrics(SILENT), shared: createSharedMemory() };
  await expect(
    openInWorker(lock, { name: 'h', config: { compare: () => 1 }, folder: '/' }, environment, { module: MODULE }),
  ).rejects.toMatchObject({
    code: 'ADAPTER_OPEN_FAILED',
    message: expect.stringContaining('[check-lock/h] its config cannot be passed on') as string,
  });
});
