/**
 * The candidate of one thread, over changes of it and of the policy in force.
 * **In**: candidates, and word of each new policy in force. **Out**: the comparison of the newest pair. **Fails**: to prepare a
 * candidate; the one before goes on. The policy in force is touched by none of this.
 */
import type { Log } from '../adapters/contract.ts';
import { boundLog } from '../adapters/open-handler.ts';
import type { OpenHandlers } from '../core/handlers/live-handler.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { RunningEngine } from '../core/running-engine.ts';
import type { PreparedPolicy } from '../core/snapshot/in-force.ts';
import { messageOf } from '../text/message-of.ts';
import { InTurn } from '../time/in-turn.ts';
import { CandidateMeters, PolicyComparison } from './policy-comparison.ts';
import type { ComparisonReport } from './report.ts';

export interface CandidateOptions {
  /** In force. */
  readonly engine: RunningEngine;
  /** Opens handlers that the policy in force does not have; apart from its own, so that their metrics and memory do not mix. */
  readonly openHandlers: OpenHandlers;
  readonly log: Log;
  /** The part of the calls that is compared, from 0 to 1. */
  readonly share: number;
}

export class Candidate {
  readonly meters = new CandidateMeters();
  /** `undefined` while the candidate is the policy in force, and if it could not be opened beside it. */
  comparison: PolicyComparison | undefined;
  readonly #options: CandidateOptions;
  readonly #turns = new InTurn();
  readonly #closing = new Set<Promise<void>>();
  #policy: Policy | undefined;
  #isClosed = false;

  constructor(options: CandidateOptions) {
    this.#options = { ...options, log: boundLog(options.log, { policy: 'candidate' }) };
  }

  /** Call `commit` or `abandon` of the result, once. */
  async prepare(policy: Policy): Promise<PreparedPolicy> {
    const next = await this.#opened(policy);
    return {
      commit: () => {
        this.#policy = policy;
        this.#replace(next);
        if (next?.inForce !== this.#options.engine.snapshot) void this.policyChanged();
      },
      abandon: async () => next?.close(),
    };
  }

  /** Another policy is in force: the candidate is compared with that one, from the beginning. */
  policyChanged(): Promise<void> {
    return this.#turns.run(async () => {
      const policy = this.#policy;
      const { engine, log } = this.#options;
      if (policy === undefined || this.#isClosed || this.comparison?.inForce === engine.snapshot) return;
      try {
        this.#replace(await this.#opened(policy));
      } catch (error) {
        this.#replace(undefined);
        log.warn('the candidate cannot be opened beside the new policy in force; it is not compared until it changes', {
          revision: policy.revision,
          error: messageOf(error),
        });
      }
    });
  }

  report(): Promise<ComparisonReport> | undefined {
    return this.comparison?.report();
  }

  /** Drops what waits. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#replace(undefined);
    await Promise.all(this.#closing);
  }

  /** `undefined` for the policy that is in force: it would differ in nothing. */
  async #opened(candidate: Policy): Promise<PolicyComparison | undefined> {
    const { engine } = this.#options;
    if (engine.snapshot?.policy.revision === candidate.revision) return undefined;
    return PolicyComparison.open({ ...this.#options, candidate, meters: this.meters });
  }

  #replace(next: PolicyComparison | undefined): void {
    const last = this.comparison;
    this.comparison = this.#isClosed ? undefined : next;
    if (last !== undefined) this.#closed(last);
    if (this.#isClosed && next !== undefined) this.#closed(next);
    else next?.start();
  }

  #closed(comparison: PolicyComparison): void {
    const closing = comparison.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
