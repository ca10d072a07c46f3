/**
 * Frames in the order of their writing, one segment after the other.
 * **In**: the list of segments, which its writer extends. **Out**: frames. **Fails**: never because of content; a damaged place is
 * stepped over and counted, and a segment that cannot be read is skipped. While the process is short of files or memory, it waits, or
 * rejects.
 */
import { type FileHandle, mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../text/message-of.ts';
import { Throttle } from '../time/throttle.ts';
import { claimedBytes, FRAME_HEAD_BYTES, type FrameHead, frameRecords, nextMagic, readHead } from './frame.ts';
import { RESOURCES, type Segment, SEGMENT_HEAD_BYTES, SHORT_PROCESS } from './segment.ts';
import type { SpoolLog } from './types.ts';

const CHUNK_BYTES = 256 * 1024;
/** Frames that seem to begin inside of a damaged place are checked up to this many octets per octet of the segment. */
const CHECKS_PER_BYTE = 16;
/** Damaged octets kept for inspection, per place, and the number of places. */
const KEPT_BYTES = 1024 * 1024;
const MAX_KEPT = 16;

const RETRY_MS = 100;
/** 30 s: an unreadable file must not keep the process from starting. */
const MAX_FAILURES = 300;
const BLOCK_BYTES = 4096;

export interface Frame extends FrameHead {
  readonly records: readonly Uint8Array[];
}

export interface ReadPosition {
  readonly segment: Segment;
  readonly offset: number;
}

export class SegmentReader {
  readonly #folder: string;
  readonly #segments: readonly Segment[];
  readonly #log: SpoolLog;
  /** The segment that is still written; its end is not a damage. */
  readonly #active: () => Segment | undefined;
  readonly #keepsDamage: boolean;
  readonly #waits: boolean;
  readonly #lines = new Throttle();
  #isClosed = false;
  #segment: Segment | undefined;
  #offset = 0;
  #file: FileHandle | undefined;
  #buffer = Buffer.alloc(0);
  #bufferAt = 0;
  #failures = 0;
  /** Offsets that were counted: a batch that is retried may be read again. */
  readonly #noted = new WeakMap<Segment, Set<number>>();
  cutTails = 0;
  damaged = 0;

  /**
   * `keepsDamage`: damaged octets are copied to `bad/` in the folder. `waits`: until it is closed, while the process is short of files;
   * else it rejects after 30 s.
   */
  constructor(
    folder: string,
    segments: readonly Segment[],
    active: () => Segment | undefined,
    log: SpoolLog,
    { keepsDamage = true, waits = false }: { readonly keepsDamage?: boolean; readonly waits?: boolean } = {},
  ) {
    this.#keepsDamage = keepsDamage;
    this.#waits = waits;
    this.#folder = folder;
    this.#segments = segments;
    this.#active = active;
    this.#log = log;
  }

  /** `undefined`: the oldest segment. */
  async seek(position: ReadPosition | undefined): Promise<void> {
    await this.#leave();
    this.#segment = position?.segment;
    this.#offset = position?.offset ?? 0;
  }

  /** `undefined`: all that is written has been read. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const segment = this.#segment;
      if (segment === undefined || this.#offset >= segment.bytes || !this.#segments.includes(segment)) {
        if (segment !== undefined && segment === this.#active()) return undefined;
        if (!(await this.#advance())) return undefined;
        continue;
      }
      try {
        const frame = await this.#frameAt(segment);
        if (frame === undefined) continue; // a damaged place was stepped over
        this.#offset += frame.bytes;
        this.#recovered(segment);
        return frame;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        const isShort = SHORT_PROCESS.has(code);
        if (RESOURCES.has(code) && (++this.#failures < MAX_FAILURES || (isShort && this.#waits))) {
          if (isShort) this.#short(segment, error);
          await sleep(RETRY_MS);
          if (this.#isClosed) return undefined;
          continue;
        }
        this.#failures = 0;
        if (isShort) throw error; // the records are there
        this.damaged++;
        this.#log.error('a segment of a spool cannot be read; the rest of it is skipped', {
          file: segment.path,
          at: this.#offset,
          why: messageOf(error),
        });
        this.#offset = segment.bytes;
        if (segment === this.#active()) return undefined;
      }
    }
  }

  #short(segment: Segment, error: unknown): void {
    if (this.#lines.admit() > 0)
      this.#log.error('a segment of a spool cannot be read now, and is tried again; its records stay on disk', {
        file: segment.path,
        why: messageOf(error),
        hint: 'raise the limit of open files (ulimit -n, LimitNOFILE) or of memory',
      });
  }

  #recovered(segment: Segment): void {
    if (this.#failures > 0) this.#log.info('a segment of a spool can be read again', { file: segment.path });
    this.#failures = 0;
  }

  /** An open file keeps its space on the disk. Not during a `next`. */
  async leaveRemoved(): Promise<void> {
    if (this.#segment !== undefined && !this.#segments.includes(this.#segment)) await this.#leave();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#leave();
  }

  async #advance(): Promise<boolean> {
    const after = this.#segment?.number ?? -1;
    const next = this.#segments.find(({ number }) => number > after);
    if (next === undefined) return false;
    await this.#leave();
    this.#segment = next;
    this.#offset = SEGMENT_HEAD_BYTES;
    return true;
  }

  async #leave(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#buffer = Buffer.alloc(0);
    await file?.close().catch(() => undefined);
  }

  async #frameAt(segment: Segment): Promise<Frame | undefined> {
    if (this.#offset < SEGMENT_HEAD_BYTES) this.#offset = SEGMENT_HEAD_BYTES;
    const head = await this.#headAt(segment, this.#offset);
    const at = this.#offset - this.#bufferAt;
    const records = head === undefined ? undefined : frameRecords(this.#buffer, at, head);
    if (head !== undefined && records !== undefined) return { ...head, records };
    await this.#stepOver(segment);
    return undefined;
  }

  /** The head of the valid frame at `offset`, all of which is then in the buffer. */
  async #headAt(segment: Segment, offset: number): Promise<FrameHead | undefined> {
    let wanted = FRAME_HEAD_BYTES;
    for (;;) {
      const end = await this.#fill(segment, offset, wanted);
      const at = offset - this.#bufferAt;
      const head = readHead(this.#buffer, at, this.#buffer.length);
      if (head !== 'more') return head;
      if (end >= segment.bytes) return undefined;
      wanted = Math.max(wanted + 1, claimedBytes(this.#buffer, at));
    }
  }

  /** Makes the buffer hold `bytes` from `offset` on, or what there is of them; the position of its end. */
  async #fill(segment: Segment, offset: number, bytes: number): Promise<number> {
    const held = this.#bufferAt + this.#buffer.length;
    if (offset >= this.#bufferAt && held >= Math.min(segment.bytes, offset + bytes)) return held;
    const file = (this.#file ??= await open(segment.path, 'r'));
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(segment.bytes - offset, Math.max(bytes, CHUNK_BYTES))));
    let read = 0;
    while (read < buffer.length) {
      const bytesRead = await readSome(file, buffer, read, offset + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    if (read < buffer.length) segment.bytes = offset + read; // somebody cut the file
    this.#buffer = buffer.subarray(0, read);
    this.#bufferAt = offset;
    return offset + read;
  }

  /** Goes on at the next valid frame, or at the end of the segment. */
  async #stepOver(segment: Segment): Promise<void> {
    const from = this.#offset;
    const isNew = this.#isNew(segment, from);
    let budget = CHECKS_PER_BYTE * segment.bytes;
    let at = from + 1;
    while (at < segment.bytes && budget > 0) {
      const end = await this.#fill(segment, at, CHUNK_BYTES);
      const found = nextMagic(this.#buffer, at - this.#bufferAt, end - this.#bufferAt);
      if (found < 0) {
        at = Math.max(at + 1, end - 3); // a magic may lie across the end of the buffer
        if (end >= segment.bytes) break;
        continue;
      }
      at = this.#bufferAt + found;
      const head = await this.#headAt(segment, at);
      if (head !== undefined) {
        if (isNew) this.damaged++;
        if (isNew) await this.#keep(segment, from, at);
        this.#offset = at;
        return;
      }
      budget -= FRAME_HEAD_BYTES + Math.min(claimedBytes(this.#buffer, at - this.#bufferAt), segment.bytes - at);
      at++;
    }
    if (isNew) {
      if (budget <= 0) this.damaged++;
      else this.cutTails++;
      await this.#keep(segment, from, segment.bytes);
    }
    this.#offset = segment.bytes;
  }

  /** Whether the damage there was not counted before. */
  #isNew(segment: Segment, at: number): boolean {
    const noted = this.#noted.get(segment) ?? new Set();
    this.#noted.set(segment, noted);
    return noted.size < noted.add(at).size;
  }

  /** Copies damaged octets aside, so that somebody may look at them. */
  async #keep(segment: Segment, from: number, to: number): Promise<void> {
    if (!this.#keepsDamage) return;
    const fields = { file: segment.path, at: from, bytes: to - from };
    this.#log.warn('damaged octets in a spool are stepped over', fields);
    try {
      const folder = join(this.#folder, 'bad');
      await mkdir(folder, { recursive: true });
      if ((await readdir(folder)).length >= MAX_KEPT) return;
      const bytes = Buffer.alloc(Math.min(KEPT_BYTES, to - from));
      this.#file ??= await open(segment.path, 'r');
      const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, from);
      await writeFile(join(folder, `${segment.number}-${from}.bad`), bytes.subarray(0, bytesRead));
    } catch (error) {
      this.#log.warn('damaged octets of a spool could not be copied aside', { ...fields, why: messageOf(error) });
    }
  }
}

/** Reads the last segment, since a crash may have ended it anywhere; the sequences of the others follow from their heads. */
export async function lastSequence(folder: string, segments: readonly Segment[], log: SpoolLog): Promise<number> {
  let last = Math.max(0, ...segments.map((segment) => (segment.last === Infinity ? 0 : segment.last)));
  // Without a head, the segments before it have to be read as well.
  const unknown = segments.findLastIndex(({ first }) => first !== undefined);
  const reader = new SegmentReader(folder, segments.slice(Math.max(0, unknown)), () => undefined, log, {
    keepsDamage: false, // who reads the records does
  });
  for (let frame = await reader.next(); frame !== undefined; frame = await reader.next())
    last = Math.max(last, frame.first + frame.count - 1);
  await reader.close();
  for (const segment of segments) segment.last = Math.min(segment.last, last);
  return last;
}

/** Blocks that the disk cannot read are zeros, so that their frames alone are lost. */
async function readSome(file: FileHandle, into: Buffer, at: number, position: number): Promise<number> {
  try {
    return (await file.read(into, at, into.length - at, position)).bytesRead;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error;
  }
  const length = Math.min(into.length - at, BLOCK_BYTES - (position % BLOCK_BYTES));
  try {
    return (await file.read(into, at, length, position)).bytesRead;
  } catch {
    into.fill(0, at, at + length);
    return length;
  }
}
