/** The contract of a spool, as its users see it. */

/** `value`: the decoded bytes, kept while the record is in the memory window; absent after a read from disk. */
export interface SpoolRecord<T> {
  readonly bytes: Uint8Array;
  readonly value: T | undefined;
}

/** Records in the order of their appending. `through`: the sequence of the last one. */
export interface Taken<T> {
  readonly through: number;
  readonly records: readonly SpoolRecord<T>[];
}

export interface SpoolLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface SpoolOptions {
  /** Made if it is missing. It belongs to this spool alone. */
  readonly folder: string;
  /** Bytes on disk above which there is no room. What is there at the start may be more. */
  readonly maxBytes: number;
  /** Older records are dropped and counted; `undefined`: none. */
  readonly maxAgeMs: number | undefined;
  /** A segment is sealed at this size; at most an eighth of `maxBytes`. */
  readonly segmentBytes: number;
  /** Between two fdatasyncs; 0: before each append settles; Infinity: never. */
  readonly syncEveryMs: number;
  /** Records kept in memory as well, so that the disk is not read while they are taken fast enough. */
  readonly windowBytes: number;
  readonly whenFull: 'block' | 'drop-oldest';
  readonly log: SpoolLog;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** For ages beside `nowMs`, since a step of the wall clock must not make records old; `performance.now` if not given. */
  readonly monotonicMs?: () => number;
  /** Called when records of another process were appended: dead letters that a command replays. */
  readonly onReplayed?: (records: number) => void;
}

/** Counts since it was opened, and what is on disk now. */
export interface SpoolState {
  /** Records that are not acknowledged. */
  readonly waiting: number;
  readonly bytesOnDisk: number;
  readonly segments: number;
  /** When the oldest record that is not acknowledged was appended; `undefined`: none waits. */
  readonly oldestAtMs: number | undefined;
  readonly appended: number;
  readonly synced: number;
  readonly acknowledged: number;
  /** Damaged places at the end of a segment: a write that a crash or a power cut ended. */
  readonly cutTails: number;
  /** Damaged places inside of a segment, stepped over; their octets are in `bad/`. */
  readonly damaged: number;
  readonly droppedByAge: number;
  readonly droppedWhenFull: number;
  /** Why nothing can be written now. */
  readonly diskError: string | undefined;
  readonly diskErrors: number;
  /** Milliseconds for which there was no room. */
  readonly stoppedMs: number;
  readonly syncs: number;
  readonly syncMs: number;
  readonly longestSyncMs: number;
}

export interface Spool<T> {
  /**
   * Settles when the records are written, in order; with `syncEveryMs: 0`, synced. Appends of one turn of the event loop, and during
   * a write, share the next write. A disk that fails is tried again until the spool closes. Rejects after `close`, and for a record
   * above {@link MAX_RECORD_BYTES}.
   */
  append(records: readonly SpoolRecord<T>[]): Promise<void>;
  /** The next records after those taken; `undefined`: none. One call at a time. */
  take(maxRecords: number, maxBytes: number): Promise<Taken<T> | undefined>;
  /** Records up to and including `through` are delivered, or put aside: the cursor moves. Lower values are ignored. */
  acknowledge(through: number): void;
  /** Takes again what was taken and not acknowledged. Not during a `take`. */
  rewind(): void;
  /** A promise for room while the spool is full or the disk fails; `undefined`: there is room. */
  room(): Promise<void> | undefined;
  readonly state: SpoolState;
  /** Syncs, and leaves the rest on disk. What the disk does not accept within `withinMs` is lost, and logged. */
  close(withinMs: number): Promise<void>;
}

export const MAX_RECORD_BYTES = 8 * 1024 * 1024;
