import { spawnSync } from 'node:child_process';
import { onTestFinished, type TestContext } from 'vitest';

/** Mounts a file system of `size` (`1m`) at the folder until the test ends. Where the machine allows no mount, the test is skipped. */
export function mountSmallDisk(context: TestContext, folder: string, size: string): void {
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status !== 0)
    context.skip('mounting a tmpfs is not allowed here');
  onTestFinished(() => void spawnSync('umount', ['-l', folder]));
}
