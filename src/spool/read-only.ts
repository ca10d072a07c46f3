import { Cursor } from './cursor.ts';
import { lockedBy } from './lock.ts';
import { newerFormat } from './newer.ts';
import { lastSequence, SegmentReader } from './reader.ts';
import { listSegments } from './segment.ts';

export interface ReadRecord {
  readonly sequence: number;
  /** When it was appended; milliseconds since 1970. */
  readonly atMs: number;
  readonly bytes: Buffer;
}

const SILENT = { info() {}, warn() {}, error() {} };

/**
 * The records of a spool that are not acknowledged, as they stand on the disk, without taking them. Also beside its writer. Rejects if the
 * folder cannot be read: who takes it for empty removes what it holds.
 */
export async function* readRecords(folder: string): AsyncGenerator<ReadRecord> {
  const after = await Cursor.read(folder);
  const segments = await listSegments(folder).catch(orIfNone([]));
  const reader = new SegmentReader(folder, segments, () => undefined, SILENT, { keepsDamage: false });
  let last = after;
  try {
    for (let frame = await reader.next(); frame !== undefined; frame = await reader.next())
      for (const [at, bytes] of frame.records.entries()) {
        const sequence = frame.first + at;
        if (sequence <= last) continue;
        last = sequence;
        yield { sequence, atMs: frame.atMs, bytes: Buffer.from(bytes) };
      }
  } finally {
    await reader.close();
  }
}

/** `nothing` for the error of what is not there, or of a file in place of a folder; others, as EMFILE, do not say that. */
export const orIfNone =
  <T>(nothing: T) =>
  (error: unknown): T => {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return nothing;
    throw error;
  };

/** A spool as it stands on the disk. */
export interface SpoolOnDisk {
  /** By sequence; after damage, an upper bound. */
  readonly waiting: number;
  readonly bytes: number;
  readonly oldestAtMs: number | undefined;
  /** PID of the process that writes it. */
  readonly owner: number | undefined;
  /** The format of records that this version cannot read, and which are in no other number here. */
  readonly newerFormat: number | undefined;
}

export async function inspectSpool(folder: string): Promise<SpoolOnDisk> {
  const segments = await listSegments(folder).catch(orIfNone([]));
  const last = await lastSequence(folder, segments, SILENT);
  const records = readRecords(folder);
  const oldest = await records.next();
  await records.return(undefined);
  return {
    waiting: oldest.done === true ? 0 : last - oldest.value.sequence + 1,
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    oldestAtMs: oldest.done === true ? undefined : oldest.value.atMs,
    owner: await lockedBy(folder),
    newerFormat: await newerFormat(folder),
  };
}
