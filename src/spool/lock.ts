/**
 * The lock of a folder: one thread writes a spool, also where several containers share a volume.
 *
 * A file names its owner, which touches it every second. Whether a thread of the same PID namespace lives is read from /proc; any other
 * owner (in another container, or without /proc) is gone if it has not touched the file for {@link SILENT_MS}. A thread ends when the
 * calls of the file system that it has begun have ended, so that none of them writes after its lock is taken over.
 *
 * A disk that is full, of reports whose backend is away, must not keep a server from starting: it takes a name without content. The owner
 * is written once there is space; until then touching the file alone says that it lives.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FULL, RESOURCES, writeWhole } from './segment.ts';

const TOUCH_MS = 1000;
export const SILENT_MS = 4000;

interface Owner {
  readonly token: string;
  readonly pid: number;
  /** Of its thread, as the kernel numbers it. */
  readonly tid: string;
  readonly startedAt: string;
  readonly boot: string;
  readonly pidNamespace: string;
}

export interface FolderLock {
  /** Another one has taken it over, since this one was silent for too long. */
  readonly isLost: boolean;
  release(): Promise<void>;
}

/** Tokens of locks that this thread could not remove. */
const released = new Set<string>();

/** Rejects if a living thread holds it. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, 'lock');
  const own: Owner = { token: randomUUID(), ...thisThread() };
  let made: LockFile | undefined;
  for (let tries = 0; (made = await LockFile.create(path, own)) === undefined; tries++) {
    const owner = await ownerOf(path);
    if (tries > 2 || (await isAlive(path, owner)))
      throw new Error(`${folder} is in use by the process ${owner?.pid ?? '?'}; give each server a folder of its own`);
    await removeStale(path, owner);
  }
  const file = made;
  let isLost = false;
  /** While the process is short of files, nobody is known to have taken it over; one in another container would, if it were not touched. */
  const isOwn = (): Promise<boolean> => file.isInPlace().catch(() => !isLost);
  const timer = setInterval(() => {
    void isOwn().then(async (isStillOwn) => {
      if (isStillOwn) await file.touch().catch(() => undefined);
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
      // On a read-only disk it stays, and says that nobody holds it to this process, and to others once this one has ended.
      if (await isOwn()) await rm(path, { force: true }).catch(() => released.add(own.token));
      await file.close();
    },
  };
}

/** One that this thread has made. */
class LockFile {
  readonly #path: string;
  readonly #own: Owner;
  /** While the owner does not stand in it; open, so that its inode is no other file's. */
  #unwritten: FileHandle | undefined;

  private constructor(path: string, own: Owner, unwritten: FileHandle) {
    this.#path = path;
    this.#own = own;
    this.#unwritten = unwritten;
  }

  /** `undefined`: there is a file. */
  static async create(path: string, own: Owner): Promise<LockFile | undefined> {
    const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return undefined;
      throw error;
    });
    if (file === undefined) return undefined;
    const made = new LockFile(path, own, file);
    try {
      await made.#write();
      return made;
    } catch (error) {
      await made.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  /** Rejects if it cannot be known now. */
  async isInPlace(): Promise<boolean> {
    const unwritten = this.#unwritten;
    if (unwritten === undefined) return (await ownerOf(this.#path))?.token === this.#own.token;
    const [own, there] = await Promise.all([unwritten.stat(), stat(this.#path).catch(orAbsent)]);
    return there !== undefined && own.dev === there.dev && own.ino === there.ino;
  }

  /** Writes the owner if it does not stand there and the disk takes it. */
  async touch(): Promise<void> {
    await this.#write();
    await utimes(this.#path, new Date(), new Date());
  }

  async #write(): Promise<void> {
    const file = this.#unwritten;
    if (file === undefined) return;
    const bytes = Buffer.from(JSON.stringify(this.#own));
    try {
      await writeWhole(file, bytes, 0, bytes.length, 0);
    } catch (error) {
      if (!FULL.has((error as NodeJS.ErrnoException).code)) throw error;
      return file.truncate(0);
    }
    await this.close();
  }

  async close(): Promise<void> {
    const file = this.#unwritten;
    this.#unwritten = undefined;
    await file?.close();
  }
}

function orAbsent(error: NodeJS.ErrnoException): undefined {
  if (RESOURCES.has(error.code)) throw error;
}

/** The PID of the living owner of a folder, 0 if it is not known; `undefined`: nobody writes there. */
export async function lockedBy(folder: string): Promise<number | undefined> {
  const path = join(folder, 'lock');
  const owner = await ownerOf(path);
  return (await isAlive(path, owner)) ? (owner?.pid ?? 0) : undefined;
}

/** `undefined`: no file, or one without an owner, as a full disk or a crash in its writing leaves it. Rejects if it cannot be read now. */
async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const owner = JSON.parse(await readFile(path, 'utf8')) as Partial<Owner> | null;
    return typeof owner?.token === 'string' && typeof owner.pid === 'number' ? (owner as Owner) : undefined;
  } catch (error) {
    if (RESOURCES.has((error as NodeJS.ErrnoException).code)) throw error;
    return undefined;
  }
}

async function isAlive(path: string, owner: Owner | undefined): Promise<boolean> {
  if (owner === undefined && !(await isEmptyFile(path))) return false;
  if (owner !== undefined && released.has(owner.token)) return false;
  const own = thisThread();
  const isNear = owner?.boot === own.boot && owner.pidNamespace === own.pidNamespace && own.pidNamespace !== '';
  if (isNear && own.startedAt !== '') return startOf(owner.pid, owner.tid) === owner.startedAt;
  const touched = async (): Promise<number> => (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
  const before = await touched();
  for (let waitedMs = 0; waitedMs < SILENT_MS; waitedMs += TOUCH_MS / 4) {
    await sleep(TOUCH_MS / 4);
    if ((await touched()) !== before) return true;
  }
  return false;
}

const isEmptyFile = async (path: string): Promise<boolean> => {
  const found = await stat(path).catch(orAbsent);
  return found !== undefined && found.isFile() && found.size === 0;
};

/** Of two processes that find it stale, one removes it; the lock that the other has made meanwhile is put back. */
async function removeStale(path: string, stale: Owner | undefined): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // the other one was faster
    throw error;
  }
  let isStale = false;
  try {
    isStale = (await ownerOf(aside))?.token === stale?.token;
  } finally {
    if (isStale) await rm(aside, { force: true, recursive: true });
    else await rename(aside, path);
  }
}

let known: Omit<Owner, 'token'> | undefined;

function thisThread(): Omit<Owner, 'token'> {
  if (known !== undefined) return known;
  const tid = textOr(() => basename(readlinkSync('/proc/thread-self')));
  return (known = {
    pid: process.pid,
    tid,
    startedAt: startOf(process.pid, tid),
    boot: textOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: textOr(() => readlinkSync('/proc/self/ns/pid')),
  });
}

/** Clock ticks since boot when the thread started; empty: it has ended, or there is no /proc. */
const startOf = (pid: number, tid: string): string =>
  textOr(() => {
    // From the third field on: the state, ..., and as the 22nd the start.
    const fields = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '');
  });

/** Empty if it is not there. Throws if it cannot be read now: a thread that lives would seem to have ended. */
function textOr(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (RESOURCES.has((error as NodeJS.ErrnoException).code)) throw error;
    return '';
  }
}
