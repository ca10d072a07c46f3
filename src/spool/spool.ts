/**
 * A spool in one folder: its writer, its reader, the memory window between them, and the cursor.
 *
 * While records are taken as fast as they come they stay in the window, and the disk is only written. Once the window is full, later
 * records are read from the disk until the reader has caught up.
 */
import { messageOf } from '../text/message-of.ts';
import { settlesWithin } from '../time/settles-within.ts';
import { Throttle } from '../time/throttle.ts';
import type { Cursor } from './cursor.ts';
import { DiskRecords } from './disk-records.ts';
import { DropLog } from './drop-log.ts';
import type { FolderLock } from './lock.ts';
import { SegmentReader } from './reader.ts';
import type { Segment } from './segment.ts';
import { Inbox } from './replay.ts';
import { RecordAge } from './record-age.ts';
import { Retention } from './retention.ts';
import { Room } from './room.ts';
import type { Spool, SpoolOptions, SpoolRecord, SpoolState, Taken } from './types.ts';
import { MemoryWindow } from './window.ts';
import { Writer } from './writer.ts';

const UPKEEP_MS = 1000;
/** For the cursor and the lock; a disk that hangs must not keep the process from ending. */
const CLOSE_MS = 2000;
/** A full spool of few segments would drop, or keep, a large part at once. */
const LEAST_SEGMENTS = 8;
const LEAST_SEGMENT_BYTES = 64 * 1024;

export class DiskSpool<T> implements Spool<T> {
  readonly #options: SpoolOptions;
  readonly #lock: FolderLock;
  readonly #cursor: Cursor;
  readonly #retention: Retention;
  readonly #writer: Writer<T>;
  readonly #reader: SegmentReader;
  /** From `#taken + 1` on; empty while `#isBehind`, but for what it held when it overflowed. */
  readonly #window: MemoryWindow<T>;
  readonly #drops: DropLog;
  /** The next record to take is read from the disk. */
  #isBehind: boolean;
  readonly #disk: DiskRecords;
  #taken: number;
  #acknowledged: number;
  #appended = 0;
  #oldest: { readonly sequence: number; readonly atMs: number } | undefined;
  readonly #timer: NodeJS.Timeout;
  #keeping: Promise<void> | undefined;
  readonly inbox: Inbox;
  #isTaking = false;
  readonly #upkeepLines = new Throttle();
  readonly #age: RecordAge;
  readonly #room: Room;

  constructor(options: SpoolOptions, lock: FolderLock, cursor: Cursor, segments: Segment[], last: number) {
    this.#options = options;
    this.#lock = lock;
    this.#cursor = cursor;
    this.#age = new RecordAge(options);
    this.#retention = new Retention(segments, options, this.#age);
    this.#room = new Room(
      () =>
        this.#writer.retry.error !== undefined ||
        this.#writer.isBehind ||
        (this.#retention.isFull && options.whenFull === 'block'),
    );
    this.#window = new MemoryWindow(options.windowBytes);
    this.#drops = new DropLog(options, () => this.state);
    this.#acknowledged = this.#taken = Math.min(cursor.saved, Math.max(last, cursor.saved));
    this.#isBehind = last > this.#acknowledged;
    this.#writer = new Writer({
      folder: options.folder,
      segmentBytes: Math.max(
        LEAST_SEGMENT_BYTES,
        Math.min(options.segmentBytes, Math.floor(options.maxBytes / LEAST_SEGMENTS)),
      ),
      syncEveryMs: options.syncEveryMs,
      log: options.log,
      nowMs: () => this.#age.nowMs(),
      segments,
      nextSequence: Math.max(last, cursor.saved) + 1,
      nextNumber: (segments.at(-1)?.number ?? 0) + 1,
      onWritten: (records, first, segment, offset) => this.#written(records, first, segment, offset),
      onChange: () => this.#room.changed(),
      isAcknowledged: (sequence) => sequence <= this.#acknowledged,
      makeSpace: () => this.upkeep(),
      assertOwned() {
        if (lock.isLost) throw new Error('another process has taken over the folder');
      },
    });
    this.#reader = new SegmentReader(options.folder, segments, () => this.#writer.active, options.log, { waits: true });
    this.#disk = new DiskRecords(
      this.#reader,
      this.#age,
      () => this.#taken,
      () => this.#writer.written,
    );
    this.inbox = new Inbox(
      options,
      () => this.room() === undefined,
      async (batch) => {
        await this.#writer.append(batch);
        await this.#writer.syncWritten();
      },
    );
    this.#timer = setInterval(() => {
      void this.upkeep();
      void this.inbox.take();
    }, UPKEEP_MS);
    this.#timer.unref();
  }

  async append(records: readonly SpoolRecord<T>[]): Promise<void> {
    if (records.length > 0) await this.#writer.append(records);
  }

  #written(records: readonly SpoolRecord<T>[], first: number, segment: Segment, offset: number): void {
    this.#appended += records.length;
    if (this.#oldest === undefined && this.#acknowledged === first - 1)
      this.#oldest = { sequence: first, atMs: segment.lastAtMs ?? this.#age.nowMs() };
    if (!this.#isBehind) {
      if (this.#window.isFull) {
        this.#isBehind = true;
        this.#disk.startAt({ segment, offset });
      } else this.#window.push(records);
    }
    if (this.#retention.isFull) void this.upkeep();
  }

  // ---------------------------------------------------------- out

  async take(maxRecords: number, maxBytes: number): Promise<Taken<T> | undefined> {
    if (this.#isTaking) throw new Error('take() is running already');
    this.#isTaking = true;
    try {
      const fromWindow = this.#window.take(maxRecords, maxBytes);
      if (fromWindow.length > 0) {
        this.#taken += fromWindow.length;
        return { through: this.#taken, records: fromWindow };
      }
      return this.#isBehind ? await this.#fromDisk(maxRecords, maxBytes) : undefined;
    } finally {
      this.#isTaking = false;
    }
  }

  async #fromDisk(maxRecords: number, maxBytes: number): Promise<Taken<T> | undefined> {
    const { records, through, oldest, end } = await this.#disk.take(maxRecords, maxBytes);
    this.#taken = Math.max(this.#taken, through); // records may have been dropped meanwhile
    if (oldest !== undefined && (this.#oldest === undefined || this.#oldest.sequence <= this.#acknowledged))
      this.#oldest = oldest;
    if (end !== undefined) this.#caughtUp(end);
    return records.length === 0
      ? undefined
      : { through: this.#taken, records: records.map((bytes) => ({ bytes, value: undefined })) };
  }

  /** The reader has seen all that is written; sequences that it did not find stood in damaged places. */
  #caughtUp(written: number): void {
    this.#isBehind = false;
    if (this.#acknowledged === this.#taken) this.#acknowledged = Math.max(this.#acknowledged, written);
    this.#taken = Math.max(this.#taken, written);
  }

  acknowledge(through: number): void {
    if (through <= this.#acknowledged) return;
    this.#acknowledged = Math.min(through, this.#taken);
    if (this.#oldest !== undefined && this.#oldest.sequence <= this.#acknowledged)
      this.#oldest =
        this.#acknowledged >= this.#writer.written
          ? undefined
          : {
              sequence: this.#acknowledged + 1,
              atMs: this.#disk.nextAtMs ?? this.#retention.of(this.#acknowledged + 1)?.lastAtMs ?? this.#age.nowMs(),
            };
    const [first] = this.#retention.segments;
    if (
      this.#retention.isFull ||
      (first !== undefined && first !== this.#writer.active && first.last <= this.#acknowledged)
    )
      void this.upkeep();
  }

  rewind(): void {
    this.#window.clear();
    this.#taken = this.#acknowledged;
    this.#isBehind = this.#writer.written > this.#acknowledged;
    const segment = this.#retention.of(this.#acknowledged + 1);
    this.#disk.startAt(segment === undefined ? undefined : { segment, offset: 0 });
  }

  // ---------------------------------------------------------- room and upkeep

  room(): Promise<void> | undefined {
    return this.#room.promise;
  }

  /** Saves the cursor, and removes segments that nobody needs. */
  upkeep(): Promise<void> {
    return (this.#keeping ??= this.#keep()
      .catch((error: unknown) => {
        if (this.#upkeepLines.admit() > 0)
          this.#options.log.warn(
            'upkeep of a spool failed: its cursor is not saved, or a segment not removed; it is tried again',
            {
              folder: this.#options.folder,
              why: messageOf(error),
            },
          );
      })
      .finally(() => {
        this.#keeping = undefined;
        this.#drops.note();
        this.#room.changed();
      }));
  }

  async #keep(): Promise<void> {
    const dropped = this.#retention.dropThrough(this.#writer.active, this.#acknowledged, this.#taken);
    if (dropped !== undefined) this.#passOver(dropped);
    const unsaved = await this.#saveCursor();
    // On a disk without space for the cursor something has to go first. The last segment stays, since sequences go on from it.
    const through = unsaved === undefined ? this.#cursor.saved : this.#acknowledged;
    const least = unsaved === undefined ? 0 : 1;
    await this.#retention.remove(
      through,
      () => this.#writer.active,
      least,
      () => !this.#lock.isLost,
    );
    if (!this.#isTaking) await this.#reader.leaveRemoved();
    if (this.#retention.isFull && this.#retention.segments.length === 1 && this.#acknowledged >= this.#writer.written)
      this.#writer.roll();
    if (unsaved !== undefined) throw unsaved;
  }

  /** The error, if the disk does not take it. */
  async #saveCursor(): Promise<Error | undefined> {
    if (this.#cursor.saved === this.#acknowledged || this.#lock.isLost) return undefined;
    try {
      await this.#cursor.save(this.#acknowledged);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  /** Records up to `last` will not be taken. */
  #passOver(last: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, last);
    this.#oldest = undefined;
    if (this.#taken >= last) return;
    this.#window.drop(last - this.#taken);
    this.#disk.passOver(last);
    this.#taken = last;
  }

  get state(): SpoolState {
    const writer = this.#writer;
    return {
      waiting: writer.written - this.#acknowledged,
      bytesOnDisk: this.#retention.bytes,
      segments: this.#retention.segments.length,
      oldestAtMs: this.#oldest?.atMs,
      appended: this.#appended,
      synced: writer.unsynced.synced,
      acknowledged: this.#acknowledged,
      cutTails: this.#reader.cutTails,
      damaged: this.#reader.damaged,
      droppedByAge: this.#retention.droppedByAge + this.#disk.droppedByAge,
      droppedWhenFull: this.#retention.droppedWhenFull,
      diskError: writer.retry.error,
      diskErrors: writer.retry.errors,
      stoppedMs: this.#room.stoppedMs,
      syncs: writer.unsynced.syncs,
      syncMs: writer.unsynced.syncMs,
      longestSyncMs: writer.unsynced.longestSyncMs,
    };
  }

  async close(withinMs: number): Promise<void> {
    clearInterval(this.#timer);
    const replayed = this.inbox.close();
    await this.#writer.close(withinMs);
    await settlesWithin(CLOSE_MS, this.#release(replayed));
    this.#room.release();
  }

  async #release(replayed: Promise<void>): Promise<void> {
    await replayed;
    await this.#keeping; // it may have read the cursor before the last acknowledgement
    await this.upkeep();
    this.#drops.end();
    await this.#reader.close();
    await this.#cursor.close();
    await this.#lock.release();
  }
}
