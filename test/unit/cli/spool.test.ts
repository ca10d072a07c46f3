/** Operators see what waits on disk, and settle what a backend refused, beside a running server. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { DeadLetters, openSpool, readDeadLetters } from '../../../src/spool/index.ts';
import { run } from '../../e2e/command.ts';

const SILENT = { info() {}, warn() {}, error() {} };
const optionsOf = (folder: string) =>
  ({
    folder,
    maxBytes: 1e7,
    maxAgeMs: undefined,
    segmentBytes: 1e6,
    syncEveryMs: 10,
    windowBytes: 1000,
    whenFull: 'block',
    log: SILENT,
    nowMs: () => 1_790_000_000_000,
  }) as const;

test('logs and dead letters are listed, shown, replayed and dropped', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-spools-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const at = ['--folder', root];
  const spool = await openSpool<never>(optionsOf(join(root, 'audit', '1')));
  await spool.append(['x', 'y'].map((text) => ({ bytes: Buffer.from(text), value: undefined })));
  const letters = await DeadLetters.open(join(root, 'audit', 'dead-letters'), 1e6, SILENT);
  for (const id of ['a-1', 'a-2', 'a-3'])
    await letters.put(
      { id, rule: 'slow-calls', why: 'too large', atMs: 1_790_000_000_000 },
      Buffer.from(`bytes of ${id}`),
    );

  const list = await run(['spool', 'list', ...at]);
  expect(list.out).toMatch(new RegExp(`^audit +1 +2 +\\d+ +2026-09-21T14:13:20.\\d+Z +pid ${process.pid}$`, 'm'));
  const listed = await run(['deadletter', 'list', ...at, '--handler', 'audit']);
  expect(listed.out).toMatch(/^audit +a-2 +slow-calls +2026-09-21T14:13:20.000Z +12 +too large$/m);
  const shown = await run(['deadletter', 'show', 'a-2', ...at]);
  expect(JSON.parse(shown.out)).toMatchObject({
    handler: 'audit',
    id: 'a-2',
    rule: 'slow-calls',
    why: 'too large',
    unreadable: expect.stringContaining('a report of form'),
    record: Buffer.from('bytes of a-2').toString('base64'),
  });

  writeFileSync(
    join(root, 'policy.yaml'),
    `settings: { spool: { folder: . } }\nhandlers: { audit: { adapter: not-here } }\n`,
  );
  const byPolicy = ['--policy', join(root, 'policy.yaml')];
  expect(await run(['deadletter', 'drop', 'a-1', ...byPolicy])).toMatchObject({
    code: 0,
    out: '1 dead letter dropped\n',
  });
  const replayed = await run(['deadletter', 'replay', '--all', ...byPolicy]);
  expect(replayed).toMatchObject({ code: 0, out: '2 dead letters will be sent again\n' });
  expect((await readDeadLetters(join(root, 'audit', 'dead-letters')).next()).done).toBe(true);
  await expect.poll(() => spool.state.waiting, { timeout: 10_000 }).toBe(4);

  await Promise.all([spool.close(1000), letters.close()]);
  expect(JSON.parse((await run(['spool', 'list', ...at, '--json'])).out)).toMatchObject([
    { handler: 'audit', worker: 1, waiting: 4, owner: null },
  ]);
  for (const folder of ['1', 'dead-letters']) {
    const [name = ''] = readdirSync(join(root, 'audit', folder)).filter((one) => one.endsWith('.spool'));
    const path = join(root, 'audit', folder, name);
    const segment = readFileSync(path);
    segment.writeUInt16LE(3, 8);
    segment.writeUInt32LE(crc32(segment.subarray(0, 28)), 28);
    writeFileSync(path, segment);
  }
  const newer = 'written by a newer version, format 3; this one reads up to 1';
  expect((await run(['spool', 'list', ...at])).out).toContain(
    `${join(root, 'audit', '1')}: ${newer}; start that version to send them`,
  );
  expect((await run(['deadletter', 'list', ...at])).err).toContain(
    `${join(root, 'audit', 'dead-letters')}: ${newer}; list them by that version`,
  );
  expect((await run(['deadletter', 'drop', 'a-9', ...at])).err).toContain('CLI_SPOOL no dead letter has the id a-9');
  expect((await run(['deadletter', 'drop', ...at])).err).toContain('CLI_USAGE expected ids, or --all');
  expect((await run(['spool', 'list', '--folder', join(root, 'none')])).code).toBe(3);
}, 60_000);
