/**
 * The lock of a folder: one process writes a spool, also where several containers share a volume.
 *
 * A file names its owner, which touches it every second. Whether another process of the same PID namespace lives is read from /proc; any
 * other owner (in another container, a thread of this process) is gone if it has not touched the file for {@link SILENT_MS}.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const TOUCH_MS = 1000;
export const SILENT_MS = 4000;

interface Owner {
  readonly token: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly boot: string;
  readonly pidNamespace: string;
}

export interface FolderLock {
  /** Another process has taken it over, since this one was silent for too long. */
  readonly isLost: boolean;
  release(): Promise<void>;
}

/** Rejects if a living process holds it. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, 'lock');
  const own: Owner = { token: randomUUID(), ...thisProcess() };
  for (let tries = 0; !(await created(path, own)); tries++) {
    const owner = await ownerOf(path);
    if (tries > 2 || (owner !== undefined && (await isAlive(path, owner))))
      throw new Error(`${folder} is in use by the process ${owner?.pid ?? '?'}; give each server a folder of its own`);
    await removeStale(path, owner);
  }
  let isLost = false;
  const timer = setInterval(() => {
    void ownerOf(path).then(async (owner) => {
      if (owner?.token === own.token) await utimes(path, new Date(), new Date()).catch(() => undefined);
      else isLost = true;
    });
  }, TOUCH_MS);
  timer.unref();
  return {
    get isLost() {
      return isLost;
    },
    async release() {
      clearInterval(timer);
      if ((await ownerOf(path))?.token === own.token) await rm(path, { force: true });
    },
  };
}

/** The PID of the living owner of a folder; `undefined`: nobody writes there. */
export async function lockedBy(folder: string): Promise<number | undefined> {
  const path = join(folder, 'lock');
  const owner = await ownerOf(path);
  return owner !== undefined && (await isAlive(path, owner)) ? owner.pid : undefined;
}

async function created(path: string, own: Owner): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(JSON.stringify(own));
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** `undefined`: no file, or one without an owner, which a crash in the middle of its writing leaves. */
async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const owner = JSON.parse(await readFile(path, 'utf8')) as Partial<Owner> | null;
    return typeof owner?.token === 'string' && typeof owner.pid === 'number' ? (owner as Owner) : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(path: string, owner: Owner): Promise<boolean> {
  const own = thisProcess();
  const isNear = owner.boot === own.boot && owner.pidNamespace === own.pidNamespace && own.pidNamespace !== '';
  // A thread of this process may have crashed without releasing it.
  if (isNear && owner.pid !== own.pid) return startOf(owner.pid) === owner.startedAt && owner.startedAt !== '';
  const touched = async (): Promise<number> => (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
  const before = await touched();
  for (let waitedMs = 0; waitedMs < SILENT_MS; waitedMs += TOUCH_MS / 4) {
    await sleep(TOUCH_MS / 4);
    if ((await touched()) !== before) return true;
  }
  return false;
}

/** Of two processes that find it stale, one removes it; the lock that the other has made meanwhile is put back. */
async function removeStale(path: string, stale: Owner | undefined): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return; // the other one was faster
  }
  if ((await ownerOf(aside))?.token === stale?.token) await rm(aside, { force: true, recursive: true });
  else await rename(aside, path);
}

let known: Omit<Owner, 'token'> | undefined;

function thisProcess(): Omit<Owner, 'token'> {
  return (known ??= {
    pid: process.pid,
    startedAt: startOf(process.pid),
    boot: textOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: textOr(() => readlinkSync('/proc/self/ns/pid')),
  });
}

/** Clock ticks since boot when the process started, the 22nd field of its stat; empty: there is none, or no /proc. */
const startOf = (pid: number): string =>
  textOr(
    () =>
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')[19] ?? '',
  );

function textOr(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
