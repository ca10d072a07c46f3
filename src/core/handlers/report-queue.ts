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
  /** In force, with this spec. */
  configure(spec: HandlerSpec): void;
  /** A rule will push reports. Throws if they cannot be kept. */
  prepare(rule: Rule): void;
  /** Always accepts the entry; returns a promise for room if the queue is now full. */
  push(entry: ReportEntry, rule: Rule): Promise<void> | undefined;
  /** Settles when the entries pushed so far are where the queue keeps them; `undefined`: they are already. */
  whenSafe(): Promise<void> | undefined;
  /** Settles when all entries that are queued now have left, without hurrying them. */
  passed(): Promise<void>;
  /** Settles when all queued entries are written or refused. */
  flush(): Promise<void>;
  /** The handler closes; settles within about `withinMs`. */
  close(withinMs: number): Promise<void>;
  readonly state: ReportQueueState | undefined;
  /** Of one that has its dead letters on disk: the folder of the handler. */
  readonly lettersIn?: string | undefined;
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
  /** Damaged ends of segments that were cut off, and damaged places inside that were stepped over. */
  readonly cutTails: number;
  readonly damaged: number;
  readonly droppedByAge: number;
  readonly droppedWhenFull: number;
  readonly syncs: number;
  readonly syncMs: number;
  readonly diskErrors: number;
  /** Why nothing can be written now. */
  readonly diskError: string | undefined;
}

const ofBoth = (
  one: number | undefined,
  other: number | undefined,
  of: (...both: number[]) => number,
): number | undefined => (one === undefined || other === undefined ? (one ?? other) : of(one, other));

/** The state of several queues as one; `undefined`: of none. */
export function mergedStates(states: readonly (ReportQueueState | undefined)[]): ReportQueueState | undefined {
  return states.reduce((one, other) => {
    if (one === undefined || other === undefined) return one ?? other;
    return {
      waiting: one.waiting + other.waiting,
      bytes: one.bytes + other.bytes,
      oldestMs: ofBoth(one.oldestMs, other.oldestMs, Math.min),
      stoppedMs: one.stoppedMs + other.stoppedMs,
      disk: mergedDisks(one.disk, other.disk),
    };
  }, undefined);
}

function mergedDisks(one: DiskState | undefined, other: DiskState | undefined): DiskState | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return {
    segments: one.segments + other.segments,
    cutTails: one.cutTails + other.cutTails,
    damaged: one.damaged + other.damaged,
    droppedByAge: one.droppedByAge + other.droppedByAge,
    droppedWhenFull: one.droppedWhenFull + other.droppedWhenFull,
    syncs: one.syncs + other.syncs,
    syncMs: one.syncMs + other.syncMs,
    diskErrors: one.diskErrors + other.diskErrors,
    diskError: one.diskError ?? other.diskError,
  };
}
