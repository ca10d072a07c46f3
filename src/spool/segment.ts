/**
 * Segment files: `0000000001.spool`, numbered in the order in which they were made. A new number is above all that exist, and a file
 * is never opened for writing again. The head, 32 octets: `SLUICESP`, version, id of the spool, sequence of the first record.
 * Later versions keep the form of the head, so that this one knows their segments from damaged ones. A new form of what is in the frames,
 * records of reports included, is a new version of segments.
 */
import { type FileHandle, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

const MAGIC = 'SLUICESP';
/** The newest that is read, and the one that is written. */
export const VERSION = 1;
export const SEGMENT_HEAD_BYTES = 32;
const NAME = /^(\d{10})\.spool$/;

export interface Segment {
  readonly path: string;
  readonly number: number;
  /** Sequence of its first record; `undefined`: its head is damaged. */
  readonly first: number | undefined;
  /** Octets that are written. */
  bytes: number;
  /** At least the sequence of its last record. */
  last: number;
  /** When its last record was appended; `undefined`: not known. */
  lastAtMs: number | undefined;
}

/** Of a later version of Sluice. */
export interface NewerSegment {
  readonly path: string;
  readonly version: number;
}

export const listSegments = async (folder: string): Promise<Segment[]> => (await readSegments(folder)).segments;

/** No space, or none for this user. */
export const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);
/** Of the process or the machine, whatever the file. */
export const SHORT_PROCESS: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);
/** Short of these, the process cannot read now; the file is not to blame. */
export const RESOURCES: ReadonlySet<string | undefined> = new Set([
  ...SHORT_PROCESS,
  'EAGAIN',
  'EBUSY',
  'EINTR',
  'ETIMEDOUT',
]);

/**
 * In order; other files are ignored. `last` follows from the next head that is whole; Infinity: none is, the frames tell. Rejects while the
 * process is short of {@link RESOURCES}; segments that were taken for damaged would be removed unsent.
 */
export async function readSegments(
  folder: string,
): Promise<{ readonly segments: Segment[]; readonly newer: readonly NewerSegment[] }> {
  const found = (await readdir(folder))
    .flatMap((name) => {
      const number = NAME.exec(name)?.[1];
      return number === undefined ? [] : [{ path: join(folder, name), number: Number(number) }];
    })
    .toSorted((a, b) => a.number - b.number);
  const segments: Segment[] = [];
  const newer: NewerSegment[] = [];
  for (const { path, number } of found) {
    const { version, first, bytes } = await headOf(path).catch(damaged);
    if (version > VERSION) newer.push({ path, version });
    else segments.push({ path, number, first, bytes, last: 0, lastAtMs: undefined });
  }
  let next = Infinity;
  for (const segment of segments.toReversed()) {
    segment.last = next - 1;
    next = segment.first ?? next;
  }
  return { segments, newer };
}

const DAMAGED = { version: 0, first: undefined };

function damaged(error: NodeJS.ErrnoException): Head {
  if (RESOURCES.has(error.code)) throw error;
  return { ...DAMAGED, bytes: 0 };
}

interface Head {
  /** 0: the head is damaged. */
  readonly version: number;
  readonly first: number | undefined;
  readonly bytes: number;
}

async function headOf(path: string): Promise<Head> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, head.length, 0).catch(() => ({ bytesRead: 0 }));
    const { size: bytes } = await file.stat();
    const version = head.readUInt16LE(8);
    const first = Number(head.readBigUInt64LE(20));
    const isWhole =
      bytesRead === head.length &&
      head.toString('latin1', 0, 8) === MAGIC &&
      version >= VERSION &&
      Number.isSafeInteger(first) &&
      crc32(head.subarray(0, 28)) === head.readUInt32LE(28);
    return isWhole ? { version, first, bytes } : { ...DAMAGED, bytes };
  } finally {
    await file.close();
  }
}

/** A new segment with its head written, and its name durable. Rejects if the file exists, or cannot be written. */
export async function createSegment(
  folder: string,
  number: number,
  first: number,
  spoolId: Uint8Array,
): Promise<{ readonly segment: Segment; readonly file: FileHandle }> {
  const path = join(folder, `${String(number).padStart(10, '0')}.spool`);
  const file = await open(path, 'wx+');
  try {
    const head = Buffer.alloc(SEGMENT_HEAD_BYTES);
    head.write(MAGIC, 0, 'latin1');
    head.writeUInt16LE(VERSION, 8);
    head.set(spoolId, 12);
    head.writeBigUInt64LE(BigInt(first), 20);
    head.writeUInt32LE(crc32(head.subarray(0, 28)), 28);
    await writeWhole(file, head, 0, head.length, 0);
    await syncFolder(folder);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(path, { force: true }).catch(() => undefined); // nothing refers to it yet
    throw error;
  }
  return { segment: { path, number, first, bytes: SEGMENT_HEAD_BYTES, last: first - 1, lastAtMs: undefined }, file };
}

/** A disk that is full may write a part and report it as a short write. */
export async function writeWhole(
  file: FileHandle,
  bytes: Uint8Array,
  from: number,
  to: number,
  position: number,
): Promise<void> {
  for (let at = from; at < to;) {
    const { bytesWritten } = await file.write(bytes, at, to - at, position + at - from);
    if (bytesWritten === 0) throw Object.assign(new Error('the file takes no more octets'), { code: 'ENOSPC' });
    at += bytesWritten;
  }
}

/** A created or removed name is durable once its folder is synced. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
