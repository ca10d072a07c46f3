/** The reports that wait for one handler, as dispatch and operators see them; in memory or in a log on disk. */
import type { BatchDefaults, ReportEntry } from '../../adapters/contract.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import type { Rule } from '../rules/rule.ts';

export interface ReportQueueOptions {
  /** Entries that may wait for one handler. */
  readonly maxWaiting: number;
  /** Their estimated size. */
  readonly maxWaitingBytes: number;
}
export const DEFAULT_REPORT_QUEUE: ReportQueueOptions = { maxWaiting: 10_000, maxWaitingBytes: 16 * 1024 * 1024 };

const DEFAULT_BATCH: Required<BatchDefaults> = { max: 100, maxAgeMs: 200, maxBytes: 1024 * 1024 };
export const batchOf = ({ batch }: Pick<HandlerSpec, 'batch'>): Required<BatchDefaults> => ({
  ...DEFAULT_BATCH,
  ...batch,
});

export interface ReportQueue {
  /** Entries queued or being written. */
  readonly size: number;
  readonly isFull: boolean;
  configure(spec: HandlerSpec): void;
  /** Always accepts the entry; returns a promise for room if the queue is now full. */
  push(entry: ReportEntry, rule: Rule): Promise<void> | undefined;
  /** Settles when the entries pushed so far are where the queue keeps them; `undefined`: they are already. */
  whenSafe(): Promise<void> | undefined;
  /** Settles when what is queued now has left, at its own pace. */
  passed(): Promise<void>;
  /** Settles when all queued entries are written or refused. */
  flush(): Promise<void>;
  /** The handler closes; settles within about `withinMs`. */
  close(withinMs: number): Promise<void>;
  readonly state: ReportQueueState;
}

export interface ReportQueueState {
  readonly waiting: number;
  /** Estimated size in memory, or bytes on disk. */
  readonly bytes: number;
  /** When the oldest waiting entry was reported, in ms since 1970. */
  readonly oldestMs: number | undefined;
  /** Time for which streams of access logs were not read because the queue was full. */
  readonly stoppedMs: number;
  /** Of a log on disk. */
  readonly disk: DiskState | undefined;
}

export interface DiskState {
  readonly segments: number;
  /** Damaged ends that were cut off, and damaged frames in the middle that were put aside. */
  readonly cutFrames: number;
  readonly quarantinedFrames: number;
  readonly droppedByAge: number;
  readonly droppedOldest: number;
  readonly lastError: string | undefined;
}
