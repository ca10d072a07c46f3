/** What a handler in a worker shares with its host; its faults are in test/unit/serve/isolation.test.ts. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import type { OpenHandler } from '../../../src/adapters/open-handler.ts';
import { createPluginMetrics } from '../../../src/adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { openInWorker } from '../../../src/adapters/worker/open-in-worker.ts';
import { SILENT } from '../../../src/log/log.ts';
import lock from '../../parts/faulty/lock.ts';

const MODULE = pathToFileURL(join(import.meta.dirname, '../../parts/faulty/lock.ts')).href;

test('memory that all workers share is refused, since it does not reach another process', async () => {
  const environment = { log: SILENT, metrics: createPluginMetrics(SILENT), shared: createSharedMemory() };
  const open = (count: number): Promise<OpenHandler> =>
    openInWorker(
      lock,
      { name: 'h', config: {}, folder: '/' },
      { ...environment, worker: { number: 1, count } },
      { module: MODULE },
    );
  await expect(open(2)).rejects.toMatchObject({
    code: 'ADAPTER_OPEN_FAILED',
    message: expect.stringContaining('memory that all workers share does not reach a process of its own') as string,
  });
  const alone = await open(1);
  await alone.close();
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
