/** What frontends hand the engine, and what they get back. */
import type { Wire } from '../attributes/bag.ts';

/** Of the caller: how long it waits, and whether it is still there. */
export interface Caller {
  /** Milliseconds until it gives up; `undefined` where it does not say. */
  readonly remainingMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** When it gives up, by `performance.now()`; Infinity where it does not say. Absent: as `remainingMs` says, which looks at the clock. */
  readonly endsAtMs?: number;
  /** When its request came, by `performance.now()`. Absent: as the engine is asked. */
  readonly arrivedAtMs?: number;
}

export const NO_CALLER: Caller = { remainingMs: undefined, signal: undefined };

export type Outcome = 'allow' | 'deny' | 'failed' | 'error';

/** Net changes, in the order to apply: per name at most one of set, append, remove; a list keeps its order. */
export interface NetHeaders {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly append: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}
export const NO_HEADERS: NetHeaders = { set: [], append: [], remove: [] };

/** What a call that is allowed changes on its way. */
export interface NetChanges {
  readonly request: NetHeaders;
  readonly response: NetHeaders;
  readonly query: {
    readonly set: readonly (readonly [name: string, value: string])[];
    readonly remove: readonly string[];
  };
  /** For the proxy, beside `sluice: { id, rule, outcome, shadow }`. */
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** This very object stands for every call that comes to it: what is made of it once may be kept. */
  readonly isConstant: boolean;
}
export const NO_CHANGES: NetChanges = {
  request: NO_HEADERS,
  response: NO_HEADERS,
  query: { set: [], remove: [] },
  metadata: [],
  isConstant: true,
};

/** Why, for people. */
export interface Reason {
  readonly rule: string;
  /** Finished sentence without a final stop: `offices refused 203.0.113.9: not on the list`. */
  readonly text: string;
  /** Whether it had a say (enforced) or would have had one (shadow). */
  readonly shadow: boolean;
}

/** Never `error` without being said as gRPC UNAVAILABLE; never a status without a rule that meant it. */
export interface Verdict {
  readonly id: string;
  readonly outcome: Outcome;
  /** The deciding rule; `undefined` where nothing denied. */
  readonly rule: string | undefined;
  /** HTTP status: 200 for allow. */
  readonly status: number;
  /** google.rpc.Code: 0 for allow only. */
  readonly code: number;
  readonly body: string;
  /** Of the answer, where denied. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Of what passes, where allowed. */
  readonly changes: NetChanges;
  /** Names of shadow rules that would have refused. */
  readonly shadow: readonly string[];
  readonly reasons: readonly Reason[];
}

/** Of one descriptor. */
export interface LimitStatus {
  readonly over: boolean;
  /** The rule that the numbers are of: the refusing one, else the one with least remaining; `undefined` where no quota applied. */
  readonly rule: string | undefined;
  readonly limit: number;
  readonly perMs: number;
  readonly remaining: number;
  readonly resetMs: number;
}
export interface LimitVerdict {
  readonly id: string;
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  /** One for each descriptor, in order. Empty where the outcome is `error`. */
  readonly statuses: readonly LimitStatus[];
  readonly response: NetHeaders;
  readonly shadow: readonly string[];
  readonly reasons: readonly Reason[];
}

/** What the frontends know of the engine. */
export interface Engine {
  check(call: 'http' | 'tcp', wire: Wire, caller: Caller): Verdict | Promise<Verdict>;
  /** One wire for each descriptor of the request. */
  limit(descriptors: readonly Wire[], caller: Caller): LimitVerdict | Promise<LimitVerdict>;
  /** Returns nothing where the entry is taken; a promise where the caller must wait before it reads on (a full queue). */
  report(call: 'log' | 'tcp-log', wire: Wire): undefined | Promise<void>;
}
