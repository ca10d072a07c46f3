/**
 * A file system that fills up, at a folder.
 * **In**: a folder, whose file system it becomes, and a size (`1m`). **Out**: a tmpfs: mounted at the folder by root; for others in a
 * user namespace, to which the folder then is a link. **Fails**: where neither is allowed; a test that is skipped proves nothing.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild, untilReady } from './child.ts';

export interface SmallDisk {
  /** Fails while a file of it is open for writing. */
  readonly remountReadOnly: () => void;
  /** A read-only view of it stands at the folder until the view is removed. Files that are open stay writable. */
  readonly coverReadOnly: () => void;
  readonly uncover: () => void;
  /** The folder is empty then, and on its own file system. Idempotent. */
  readonly unmount: () => Promise<void>;
}

const done = (program: string, ...args: readonly string[]): void => {
  const { status, stderr, error } = spawnSync(program, args);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? String(stderr).trim()}`);
};

/** `isRoot`: whether it mounts at the folder itself; by default if it may. */
export async function smallDisk(folder: string, size: string, isRoot = mayMount(folder, size)): Promise<SmallDisk> {
  if (!isRoot) return inNamespace(folder, size);
  let isMounted = true;
  return {
    remountReadOnly: () => done('mount', '-o', 'remount,ro', folder),
    coverReadOnly: () => {
      done('mount', '--bind', folder, folder);
      done('mount', '-o', 'remount,bind,ro', folder);
    },
    uncover: () => done('umount', '-l', folder),
    unmount: async () => {
      if (isMounted) done('umount', '-l', folder);
      isMounted = false;
    },
  };
}

const mayMount = (folder: string, size: string): boolean =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status === 0;

/** Processes of the same user see what another has mounted below its root in /proc (proc(5)). */
async function inNamespace(folder: string, size: string): Promise<SmallDisk> {
  const at = mkdtempSync(join(tmpdir(), 'sluice-disk-'));
  const script = 'mount -t tmpfs -o "size=$0" tmpfs "$1" && echo mounted && exec sleep 100000';
  const holder = startChild('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', script, size, at]);
  try {
    await untilReady('a small disk', holder, async () => holder.printed().includes('mounted'));
  } catch (error) {
    rmSync(at, { recursive: true, force: true });
    throw new Error('a full disk needs a file system of its own: run as root, or allow user namespaces', {
      cause: error,
    });
  }
  rmdirSync(folder);
  symlinkSync(`/proc/${holder.pid}/root${at}`, folder);
  const inside = ['--target', String(holder.pid), '--user', '--mount', '--preserve-credentials'];
  const mountInside = (...args: readonly string[]): void => done('nsenter', ...inside, 'mount', ...args);
  return {
    remountReadOnly: () => mountInside('-o', 'remount,bind,ro', at),
    coverReadOnly: () => {
      mountInside('--bind', at, at);
      mountInside('-o', 'remount,bind,ro', at);
    },
    uncover: () => done('nsenter', ...inside, 'umount', '-l', at),
    unmount: async () => {
      if (!holder.isRunning()) return;
      await holder.kill();
      unlinkSync(folder);
      mkdirSync(folder);
      rmdirSync(at);
    },
  };
}
