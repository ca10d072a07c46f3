/** The small disk of other tests is full for whoever writes to it, mounted by root or by a user who may not mount. */
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { smallDisk } from '../../parts/small-disk.ts';

test.each([[undefined], [false]])('it takes 64 KiB, is made read-only, and goes (root: %s)', async (isRoot) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-small-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const disk = await smallDisk(folder, '64k', isRoot);
  onTestFinished(disk.unmount);
  const file = join(folder, 'filler');
  expect(() => {
    for (let at = 0; at < 100; at++) writeFileSync(file, Buffer.alloc(4096), { flag: 'a' });
  }).toThrow('ENOSPC');
  rmSync(file);
  writeFileSync(file, 'x');
  disk.remountReadOnly();
  expect(() => writeFileSync(file, 'y')).toThrow('EROFS');
  await disk.unmount();
  await disk.unmount();
  expect([existsSync(file), lstatSync(folder).isDirectory(), readdirSync(folder)]).toEqual([false, true, []]);
});
