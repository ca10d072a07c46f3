/**
 * Appends frames to segments.
 * **In**: records. **Out**: written and synced sequences. **Fails**: never while open; a disk that fails is tried again, with back-off.
 *
 * A failed fdatasync is final for its file, since the kernel may have dropped the pages: what was not synced is written again to a new
 * segment. Readers skip what comes twice.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, rm } from 'node:fs/promises';
import { settlesWithin } from '../time/settles-within.ts';
import { DiskRetry } from './disk-retry.ts';
import { FRAME_HEAD_BYTES, MAX_FRAME_BYTES, recordBytes, writeFrame } from './frame.ts';
import { createSegment, FULL, type Segment, SEGMENT_HEAD_BYTES, writeWhole } from './segment.ts';
import { MAX_RECORD_BYTES, type SpoolRecord } from './types.ts';
import { UnsyncedFrames } from './unsynced.ts';
import type { WriterOptions } from './writer-options.ts';

const GIVE_UP_MS = 500;
/** Written octets that wait for a sync; above it, writing waits for the sync. */
const MAX_UNSYNCED_BYTES = 32 * 1024 * 1024;
/** Octets of records that wait to be written; above it, there is no room. */
const MAX_PENDING_BYTES = 32 * 1024 * 1024;

interface Pending<T> {
  readonly records: readonly SpoolRecord<T>[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Writer<T> {
  readonly #options: WriterOptions<T>;
  readonly #spoolId = randomBytes(8);
  #file: FileHandle | undefined;
  active: Segment | undefined;
  #pending: Pending<T>[] = [];
  /** Of records that are not written, those of the current write included. */
  #pendingBytes = 0;
  #flushing: Promise<void> | undefined;
  #next: number;
  #nextNumber: number;
  /** Fewer than it was opened with where files may not become as large (`ulimit -f`). */
  #segmentBytes: number;
  readonly unsynced: UnsyncedFrames;
  /** The file is sealed by an error: `unsynced` goes to a new segment first. */
  #isBroken = false;
  #timer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;
  #isRolling = false;
  readonly retry: DiskRetry;
  #isClosed = false;

  constructor(options: WriterOptions<T>) {
    this.#options = options;
    this.#next = options.nextSequence;
    this.#nextNumber = options.nextNumber;
    this.#segmentBytes = options.segmentBytes;
    this.unsynced = new UnsyncedFrames(options.nextSequence - 1);
    this.retry = new DiskRetry(options.folder, options.log, options.onChange);
  }

  /** More waits for the disk than the memory is meant to hold: it is slow, or hangs without an error. */
  get isBehind(): boolean {
    return this.#pendingBytes >= MAX_PENDING_BYTES;
  }

  /** Sequence of the last written record. */
  get written(): number {
    return this.#next - 1;
  }

  append(records: readonly SpoolRecord<T>[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error('the spool is closed'));
    const large = records.find(({ bytes }) => bytes.length > MAX_RECORD_BYTES);
    if (large !== undefined)
      return Promise.reject(
        new RangeError(`a record of ${large.bytes.length} bytes; a spool takes at most ${MAX_RECORD_BYTES}`),
      );
    for (const { bytes } of records) this.#pendingBytes += bytes.length;
    if (this.isBehind) this.#options.onChange();
    return new Promise((resolve, reject) => {
      this.#pending.push({ records, resolve, reject });
      this.#start();
    });
  }

  /** Seals the segment that is written, so that it can be removed once it is acknowledged. */
  roll(): void {
    if (this.active === undefined || this.#isClosed) return;
    this.#isRolling = true;
    this.#start();
  }

  async close(withinMs: number): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (!(await settlesWithin(withinMs, this.#finish()))) {
      this.retry.giveUp();
      // A call of the file system may hang without an error; then the process must end nevertheless.
      await settlesWithin(GIVE_UP_MS, this.#finish());
      void this.#seal();
    }
    this.active = undefined;
  }

  async #finish(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
    if (this.#options.syncEveryMs !== Infinity) await this.#persistently(() => this.#syncAll()).catch(() => undefined);
    await this.#seal();
  }

  #start(): void {
    this.#flushing ??= new Promise<void>((resolve) => {
      setImmediate(resolve); // the appends of this turn share a write
    })
      .then(() => this.#flush())
      .finally(() => {
        this.#flushing = undefined;
        if (this.#pending.length > 0 && !this.retry.hasGivenUp) this.#start();
      });
  }

  async #flush(): Promise<void> {
    if (this.#isRolling) {
      this.#isRolling = false;
      await this.#persistently(() => this.#syncAll()).then(
        () => this.#seal(),
        () => undefined,
      );
      this.#options.onChange();
    }
    while (this.#pending.length > 0 || (this.#isBroken && this.unsynced.last !== undefined)) {
      const taken = this.#pending;
      this.#pending = [];
      const records = taken.length === 1 ? (taken[0] as Pending<T>).records : taken.flatMap((one) => one.records);
      try {
        await (records.length === 0 ? this.#persistently(() => this.#syncAll()) : this.#writeAll(records));
        for (const { resolve } of taken) resolve();
      } catch (error) {
        for (const { reject } of [...taken, ...this.#pending]) reject(error as Error);
        this.#pending = [];
        this.#pendingBytes = 0;
        return;
      }
    }
  }

  /** Rejects only when the writer gives up at its close. */
  async #writeAll(records: readonly SpoolRecord<T>[]): Promise<void> {
    const nowMs = this.#options.nowMs();
    for (let from = 0; from < records.length;) {
      let bytes = FRAME_HEAD_BYTES;
      let to = from;
      do bytes += recordBytes((records[to++] as SpoolRecord<T>).bytes);
      while (to < records.length && bytes + recordBytes((records[to] as SpoolRecord<T>).bytes) <= MAX_FRAME_BYTES);
      const frame = Buffer.allocUnsafe(bytes);
      writeFrame(frame, 0, records, from, to, this.#next, nowMs);
      const last = this.#next + to - from - 1;
      const { segment, offset } = await this.#persistently(() => this.#write(frame, last, nowMs));
      const wasBehind = this.isBehind;
      for (let at = from; at < to; at++) this.#pendingBytes -= (records[at] as SpoolRecord<T>).bytes.length;
      if (wasBehind && !this.isBehind) this.#options.onChange();
      this.#options.onWritten(
        from === 0 && to === records.length ? records : records.slice(from, to),
        this.#next,
        segment,
        offset,
      );
      this.#next = last + 1;
      from = to;
    }
    const { syncEveryMs } = this.#options;
    if (syncEveryMs === 0) await this.#persistently(() => this.#syncAll());
    else if (syncEveryMs !== Infinity) {
      if (this.unsynced.bytes > MAX_UNSYNCED_BYTES) await this.#persistently(() => this.#syncAll());
      else this.#timer ??= setTimeout(() => void this.sync().catch(() => this.#start()), syncEveryMs).unref();
    }
  }

  async #write(frame: Buffer, last: number, atMs: number): Promise<{ segment: Segment; offset: number }> {
    this.#options.assertOwned();
    this.retry.throwIfGivenUp(); // the folder may belong to another process soon
    const segment = await this.#segmentFor(frame.length);
    const offset = segment.bytes;
    await writeWhole(this.#file as FileHandle, frame, 0, frame.length, offset);
    segment.bytes += frame.length;
    segment.last = last;
    segment.lastAtMs = atMs;
    if (this.#options.syncEveryMs !== Infinity) this.unsynced.add({ bytes: frame, last, atMs });
    return { segment, offset };
  }

  async #segmentFor(bytes: number): Promise<Segment> {
    const { active } = this;
    if (this.#isBroken || active === undefined) return this.#begin();
    if (active.last < (active.first ?? 0)) return active;
    // A segment may fill the disk before it has its size; once its records are acknowledged, its space is all that is needed.
    const isInTheWay = this.retry.error !== undefined && this.#options.isAcknowledged(active.last);
    if (!isInTheWay && active.bytes + bytes <= this.#segmentBytes) return active;
    await this.syncWritten();
    if (this.#isBroken) return this.#begin();
    await this.#seal();
    if (isInTheWay) await this.#options.makeSpace();
    return this.#begin();
  }

  /** A new segment, which begins with what a broken one may have lost. */
  async #begin(): Promise<Segment> {
    this.retry.throwIfGivenUp();
    await this.#seal();
    await this.#syncing?.catch(() => undefined); // of the file before
    const again = this.unsynced.frames();
    const first = again.length === 0 ? this.#next : this.unsynced.synced + 1;
    // The number is used up even if this fails: what is left of the file must not be in the way.
    const { segment, file } = await createSegment(this.#options.folder, this.#nextNumber++, first, this.#spoolId);
    this.#file = file;
    this.active = segment;
    this.#options.segments.push(segment);
    try {
      for (const { bytes, last, atMs } of again) {
        await writeWhole(file, bytes, 0, bytes.length, segment.bytes);
        segment.bytes += bytes.length;
        segment.last = last;
        segment.lastAtMs = atMs;
      }
      await this.unsynced.sync(file); // else a write that fails again would make another copy of them
    } catch (error) {
      await this.#seal();
      this.#options.segments.pop();
      await rm(segment.path, { force: true }).catch(() => undefined);
      throw error;
    }
    this.#isBroken = false;
    return segment;
  }

  async #syncAll(): Promise<void> {
    if (this.#isBroken && this.unsynced.last !== undefined) await this.#begin();
    await this.syncWritten();
  }

  /** A sync that runs already began before the last writes. Rejects if the disk fails. */
  async syncWritten(): Promise<void> {
    const { last } = this.unsynced;
    if (last === undefined) return;
    while (this.unsynced.synced < last && !this.#isBroken) await this.sync();
    if (this.unsynced.synced < last) throw new Error('the last writes could not be synced');
  }

  async #seal(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.active = undefined;
    await file?.close().catch(() => undefined);
  }

  /** Rejects if the disk fails. */
  sync(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return (this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = undefined;
    }));
  }

  async #sync(): Promise<void> {
    if (this.#file === undefined || this.#isBroken) return;
    try {
      await this.unsynced.sync(this.#file);
    } catch (error) {
      this.#isBroken = true;
      this.retry.failed(error);
      throw error;
    }
  }

  #persistently<R>(work: () => Promise<R>): Promise<R> {
    return this.retry.persist(work, (error) => {
      const { code } = error as NodeJS.ErrnoException;
      // On a full disk the place is still good; a later write to it may succeed.
      if (!FULL.has(code)) this.#isBroken = true;
      const { bytes = 0 } = this.active ?? {};
      if (code === 'EFBIG' && bytes > SEGMENT_HEAD_BYTES) this.#segmentBytes = bytes;
    });
  }
}
