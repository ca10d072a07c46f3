/** A disk that becomes read-only while records are written: they wait in memory within its bound, and go on when it is writable again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { openSpool, type SpoolOptions, type SpoolRecord } from '../../../src/spool/index.ts';
import { smallDisk } from '../../parts/small-disk.ts';

const SEGMENT_BYTES = 64 * 1024;
const AT_ONCE = 50;
const numbered = (from: number): SpoolRecord<string>[] =>
  Array.from({ length: AT_ONCE }, (_, at) => {
    const value = String(from + at).padEnd(500, '-');
    return { bytes: Buffer.from(value), value };
  });

test('records wait while the disk is read-only, a start says that it is, and none is lost when it is writable', async () => {
  const at = mkdtempSync(join(tmpdir(), 'sluice-read-only-'));
  onTestFinished(() => rmSync(at, { recursive: true, force: true }));
  const disk = await smallDisk(at, '8m');
  onTestFinished(disk.unmount);
  const lines: string[] = [];
  const line = (message: string): void => void lines.push(message);
  const options: SpoolOptions = {
    folder: join(at, 'log'),
    maxBytes: 64 * 1024 * 1024,
    maxAgeMs: undefined,
    segmentBytes: SEGMENT_BYTES,
    syncEveryMs: 5,
    windowBytes: 0,
    whenFull: 'block',
    log: { info: line, warn: line, error: line },
    nowMs: Date.now,
  };
  const spool = await openSpool<string>(options);
  let next = 0;
  const appending: Promise<void>[] = [];
  const append = (): void => {
    appending.push(spool.append(numbered(next)));
    next += AT_ONCE;
  };
  append();
  await Promise.all(appending);

  disk.coverReadOnly();
  await eventually(() => {
    if (spool.room() === undefined) append();
    expect(spool.state.diskError).toContain('EROFS');
  });
  expect(spool.room()).toBeInstanceOf(Promise); // who writes waits
  expect(next).toBeLessThan(5000);
  const isFailure = (message: string): boolean => message.startsWith('a spool cannot be written');
  expect(lines.filter(isFailure)).toHaveLength(1);

  disk.uncover();
  await Promise.all(appending);
  expect(lines.filter((message) => message === 'a spool can be written again')).toHaveLength(1);
  await eventually(() => expect(spool.room()).toBeUndefined());

  disk.coverReadOnly();
  await spool.close(1000);
  await expect(openSpool<string>(options)).rejects.toThrow(/EROFS: read-only file system/);
  disk.uncover();
  const again = await openSpool<string>(options);
  onTestFinished(() => again.close(1000));
  const numbers: number[] = [];
  for (let taken = await again.take(1000, 1e6); taken !== undefined; taken = await again.take(1000, 1e6)) {
    for (const { bytes } of taken.records) numbers.push(Number.parseInt(Buffer.from(bytes).toString(), 10));
    again.acknowledge(taken.through);
  }
  expect(numbers).toEqual(Array.from({ length: next }, (_, n) => n));
}, 30_000);
