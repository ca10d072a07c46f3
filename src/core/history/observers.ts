/**
 * Observers of calls: the live feed, records of calls, a candidate policy.
 * **In**: each decided call. **Out**: the same, to all that observe. **Fails**: never; an observer that throws is logged, and the others
 * still see the call.
 */
import type { Log } from '../../adapters/contract.ts';
import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { messageOf } from '../../text/message-of.ts';
import type { LimitVerdict, Verdict } from '../call.ts';
import { frameOf, ThrottledLine } from '../handlers/throttled-line.ts';
import type { QuotaEntry, RuleOutcome } from '../outcome.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

export interface DecidedCall {
  readonly snapshot: Snapshot;
  /** One per descriptor of a limit call, otherwise one. Their wires share memory with the connection until `wire.keep()`. */
  readonly bags: readonly RequestBag[];
  readonly call: CallKind;
  readonly verdict: Verdict | LimitVerdict;
  /** Of the rules that applied, or whose match failed, in rule order. */
  readonly outcomes: readonly RuleOutcome[];
  /** Of the quota rules that applied, with the answers of their handlers. */
  readonly quotas: readonly QuotaEntry[];
  readonly tookMs: number;
}

/** Called before the answer is sent, so it must not wait. It must copy (`wire.keep()`) what it reads later. */
export type CallObserver = (decided: DecidedCall) => void;

export class Observers {
  readonly #all = new Set<CallObserver>();
  readonly #errors: ThrottledLine;

  constructor(log: Log) {
    this.#errors = new ThrottledLine(log, 'error', 'internal error while observing a call');
  }

  /** Calls that nobody observes cost nothing more. */
  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** Until the result is called. */
  add(observer: CallObserver): () => void {
    this.#all.add(observer);
    return () => this.#all.delete(observer);
  }

  notify(decided: DecidedCall): void {
    for (const observer of this.#all) {
      try {
        observer(decided);
      } catch (error) {
        this.#errors.write(() => ({ verdict: decided.verdict.id, error: messageOf(error), at: frameOf(error) }));
      }
    }
  }
}
