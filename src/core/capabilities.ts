/** The four capabilities of an adapter: the one place where they differ (DESIGN section 6). */
import type { Capability } from '../adapters/contract.ts';
import type { ErrorWord } from './rules/rule.ts';

export interface CapabilityRow {
  readonly runs: string;
  readonly calls: string;
  readonly combines: string;
  /** What a handler's failure comes to where the rule says nothing. */
  readonly onHandlerFailure: ErrorWord | 'absent' | 'retry';
  /** For one call of a handler that sets none; the caller's own time may be shorter. */
  readonly deadlineMs: number;
}

export const CAPABILITY_TABLE: Readonly<Record<Capability, CapabilityRow>> = {
  enrich: {
    runs: 'before the rules that need it',
    calls: 'in the order of need',
    combines: 'union',
    onHandlerFailure: 'absent',
    deadlineMs: 50,
  },
  check: {
    runs: 'after match',
    calls: 'in parallel',
    combines: 'first deny in rule order',
    onHandlerFailure: 'deny',
    deadlineMs: 50,
  },
  quota: {
    runs: 'after allow',
    calls: 'all asks of one handler at once, handlers in rule order',
    combines: 'first refusal',
    onHandlerFailure: 'allow',
    deadlineMs: 50,
  },
  report: {
    runs: 'off the path',
    calls: 'batched per handler',
    combines: 'nothing',
    onHandlerFailure: 'retry',
    deadlineMs: 30_000,
  },
};

export const deadlineOf = (capability: Capability, configuredMs: number | undefined): number =>
  configuredMs ?? CAPABILITY_TABLE[capability].deadlineMs;

/** What is kept of the caller's own time for our answer to reach it. */
export const MARGIN_MS = 5;
/** Of that margin, what counts in the place of a handler that was late may take: it is near, and answers at once. */
export const LOCAL_MS = 2;
/** Of a caller that does not say how long it waits: for a handler that is silent, and for one that answers others meanwhile. */
export const CALLER_WAITS_MS = 150;
export const CALLER_QUEUES_MS = 5000;
