/** What the admin port shows, as the server knows it at the moment it is asked. */
import type { CallKind } from '../attributes/carrier.ts';
import type { Outcome, Reason } from '../core/call.ts';
import type { Policy } from '../core/rules/policy.ts';

export interface HandlerState {
  readonly name: string;
  readonly adapter: string;
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly why: string | undefined;
  readonly breaker: 'closed' | 'open' | 'half-open';
  /** Calls that run, and calls that wait for their turn. */
  readonly running: number;
  readonly waiting: number;
  /** Reports that wait to be written. */
  readonly queued: number;
}

/** A verdict that was kept: denials, failures, and a sample of the rest. Secret attributes are hidden already. */
export interface KeptVerdict {
  readonly id: string;
  readonly timeMs: number;
  readonly call: CallKind;
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  readonly reasons: readonly Reason[];
  readonly shadow: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface AdminSources {
  /** `undefined` until one has loaded. */
  policy(): Policy | undefined;
  /** Told to stop: no longer ready for new calls. */
  isDraining(): boolean;
  handlers(): readonly HandlerState[];
  /** The newest first. */
  verdicts(): readonly KeptVerdict[];
  /** Prometheus text format. */
  metrics(): Promise<string>;
}
