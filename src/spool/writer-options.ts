/** What a writer of segments needs. */
import type { Segment } from './segment.ts';
import type { SpoolLog, SpoolRecord } from './types.ts';

export interface WriterOptions<T> {
  readonly folder: string;
  readonly segmentBytes: number;
  readonly syncEveryMs: number;
  readonly log: SpoolLog;
  readonly nowMs: () => number;
  /** Extended by each new segment. */
  readonly segments: Segment[];
  readonly nextSequence: number;
  readonly nextNumber: number;
  /** Records are written: their first sequence, and where their frame begins. */
  readonly onWritten: (records: readonly SpoolRecord<T>[], first: number, segment: Segment, offset: number) => void;
  /** Called when the disk begins to fail, and when it works again. */
  readonly onChange: () => void;
  /** No record up to this one is needed any more. */
  readonly isAcknowledged: (sequence: number) => boolean;
  /** Removes the sealed segments that nobody needs. */
  readonly makeSpace: () => Promise<void>;
  /** Throws when this process must not write any more. */
  readonly assertOwned: () => void;
}
