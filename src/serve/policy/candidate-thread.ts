/**
 * The candidate beside the engine of one thread; its code is loaded with the first one.
 * **In**: candidates. **Out**: reports of how they decide. **Fails**: to prepare a candidate; the one before goes on.
 */
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import type { Candidate } from '../../candidate/candidate.ts';
import { candidateFamilies } from '../../candidate/metrics.ts';
import type { ComparisonReport } from '../../candidate/report.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { RunningEngine } from '../../core/running-engine.ts';
import type { PreparedPolicy } from '../../core/snapshot/in-force.ts';
import type { OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import type { WorkerPlace } from '../crew/protocol.ts';
import { handlerOpener } from './handler-opener.ts';

export interface CandidateThreadOptions {
  readonly engine: RunningEngine;
  /** The part of the calls that is compared, from 0 to 1. */
  readonly share: number;
  readonly log: OwnLog;
  readonly place: WorkerPlace | undefined;
  readonly escaped: EscapedErrors | undefined;
}

export interface CandidateThread {
  prepare(policy: Policy): Promise<PreparedPolicy>;
  report(): Promise<ComparisonReport | undefined>;
  /** Another policy is in force. */
  policyChanged(): void;
  readonly families: readonly MetricFamily[];
  close(): Promise<void>;
}

/** Time for a handler of a candidate to close. */
const CLOSE_MS = 1000;

export function openCandidateThread({ engine, share, log, place, escaped }: CandidateThreadOptions): CandidateThread {
  let candidate: Candidate | undefined;
  let isClosed = false;

  async function opened(): Promise<Candidate> {
    const { Candidate: Loaded } = await import('../../candidate/candidate.ts');
    if (isClosed) throw new Error('the server is stopping');
    // Apart from those in force: a metric belongs to one handler, and counters in memory to one config.
    const worker = place === undefined ? undefined : { place, shared: createSharedMemory() };
    const { openHandlers } = handlerOpener(log, worker, CLOSE_MS, escaped);
    return (candidate ??= new Loaded({ engine, openHandlers, log, share }));
  }

  return {
    prepare: async (policy) => (candidate ?? (await opened())).prepare(policy),
    report: async () => candidate?.report(),
    policyChanged() {
      candidate
        ?.policyChanged()
        .catch((error: unknown) =>
          log.error('internal error while comparing the candidate with a new policy', { error: messageOf(error) }),
        );
    },
    families: candidateFamilies(() => candidate),
    async close() {
      isClosed = true;
      await candidate?.close();
    },
  };
}
