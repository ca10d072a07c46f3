/** A spool opens on a disk that has no space left, not even for the owner of its lock, and nobody else takes it meanwhile. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { smallDisk } from '../../parts/small-disk.ts';
import { inspectSpool, openSpool, type Spool } from '../../../src/spool/index.ts';

const disk = mkdtempSync(join(tmpdir(), 'sluice-spool-'));

test('a full disk takes the lock without its owner, who is written when there is space', async () => {
  onTestFinished(() => rmSync(disk, { recursive: true, force: true }));
  const { unmount } = await smallDisk(disk, '1m');
  onTestFinished(unmount);
  const folder = join(disk, 'log');
  const lock = join(folder, 'lock');
  const lines: string[] = [];
  const line = (message: string): void => void lines.push(message);
  const open = async (): Promise<Spool<string>> =>
    openSpool<string>({
      folder,
      maxBytes: 1e9,
      maxAgeMs: undefined,
      segmentBytes: 65_536,
      syncEveryMs: 5,
      windowBytes: 0,
      whenFull: 'block',
      log: { info: line, warn: line, error: line },
      nowMs: () => Date.now(),
    });
  const append = (spool: Spool<string>, text: string): Promise<void> =>
    spool.append([{ bytes: Buffer.from(text), value: text }]);
  const taken = async (spool: Spool<string>): Promise<string[]> => {
    const batch = await spool.take(10, 1e6);
    spool.acknowledge(batch?.through ?? 0);
    return (batch?.records ?? []).map(({ bytes }) => Buffer.from(bytes).toString());
  };

  const first = await open();
  await append(first, 'one');
  await first.close(1000);
  const filler = join(disk, 'filler');
  spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k']);
  expect(() => writeFileSync(join(disk, 'other'), 'x')).toThrow('ENOSPC');

  const spool = await open();
  expect(readFileSync(lock, 'utf8')).toBe('');
  await expect(open()).rejects.toThrow('in use by the process ?; give each server a folder of its own');
  expect((await inspectSpool(folder)).owner).toBe(0);
  expect(await taken(spool)).toEqual(['one']);
  const later = append(spool, 'x'.repeat(20_000));
  await eventually(() => expect(spool.state.diskError).toContain('ENOSPC'));
  expect(lines.filter((text) => text.includes('cannot be written'))).toHaveLength(1);

  rmSync(filler);
  await later;
  await eventually(() => expect(JSON.parse(readFileSync(lock, 'utf8'))).toMatchObject({ pid: process.pid }));
  await expect(open()).rejects.toThrow(`in use by the process ${process.pid}`);
  expect(await taken(spool)).toEqual(['x'.repeat(20_000)]);
  await spool.close(1000);
  expect(readdirSync(folder)).not.toContain('lock');
  const last = await open();
  expect(last.state.waiting).toBe(0);
  await last.close(1000);
}, 60_000);
