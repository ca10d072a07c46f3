/** The engine as frontends see it: calls in, verdicts out. */
import type { Wire } from '../attributes/bag.ts';
import type { RecordKind } from '../attributes/carrier.ts';

/** How long the caller waits, and whether it is still connected. */
export interface Caller {
  /** Milliseconds until the caller's timeout; `undefined` if it states none. */
  readonly remainingMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** The deadline by `performance.now()`; Infinity without a timeout. If absent, `remainingMs` counts from the first read of the clock. */
  readonly endsAtMs?: number;
  /** Arrival of its request by `performance.now()`; if absent, the time of the engine's call. */
  readonly arrivedAtMs?: number;
  /** Of the verdict, which handlers see as the id of the call; if absent, a new one. */
  readonly id?: string;
  /** Like a listener of `signal`, without the price of creating one. */
  observe?(observer: CallerObserver): void;
}
export interface CallerObserver {
  /** The caller left, or its time is over, before it was answered. */
  callerGone(why: string): void;
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

/**
 * The headers that a sequence of rules sets, with their texts not yet put together. Calls to which the same rules apply share it, so
 * results derived from it may be cached; they differ in the values alone.
 */
export interface ChangesForm {
  readonly request: FormedHeaders;
  readonly response: FormedHeaders;
}
export interface FormedHeaders {
  readonly set: readonly FormedHeader[];
  readonly remove: readonly string[];
}
/** A name; no other header of its list has it, in any case. */
export interface FormedHeader {
  readonly name: string;
  /** The text before, between and after its values. */
  readonly literals: readonly string[];
}

/** Changes to an allowed call. */
export interface NetChanges {
  readonly request: NetHeaders;
  readonly response: NetHeaders;
  readonly query: {
    readonly set: readonly (readonly [name: string, value: string])[];
    readonly remove: readonly string[];
  };
  /** For the proxy, beside `sluice: { id, rule, outcome, shadow }`. */
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** The same object is returned for every such call, so results derived from it may be cached. */
  readonly isConstant: boolean;
  /** Present if they are headers alone: a frontend may write the texts from their parts, which takes less time than to read the strings. */
  readonly form?: ChangesForm | undefined;
  /** Of all headers of {@link form}: the request's, then the response's. They may contain control characters, which are left out. */
  readonly values?: readonly string[] | undefined;
}
export const NO_CHANGES: NetChanges = {
  request: NO_HEADERS,
  response: NO_HEADERS,
  query: { set: [], remove: [] },
  metadata: [],
  isConstant: true,
};

/** Why a rule refused or failed, for operators. */
export interface Reason {
  readonly rule: string;
  /** A sentence without its full stop: `offices refused 203.0.113.9: not on the list`. */
  readonly text: string;
  /** The rule is in shadow mode: it would have refused. */
  readonly shadow: boolean;
}

/** `error` is always answered with gRPC UNAVAILABLE; any other status comes from a rule. */
export interface Verdict {
  readonly id: string;
  readonly outcome: Outcome;
  /** The deciding rule; `undefined` if no rule denied. */
  readonly rule: string | undefined;
  /** HTTP status: 200 for allow. */
  readonly status: number;
  /** google.rpc.Code: 0 for allow only. */
  readonly code: number;
  readonly body: string;
  /** The body is a text of the policy, which all such verdicts share. */
  readonly hasConstantBody?: boolean;
  /** Headers of the denial. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Changes to the call, if allowed. */
  readonly changes: NetChanges;
  /** Names of shadow rules that would have refused. */
  readonly shadow: readonly string[];
  readonly reasons: readonly Reason[];
}

/** Result of one descriptor. */
export interface LimitStatus {
  readonly over: boolean;
  /** The rule whose numbers these are: the refusing one, else the one with the least remaining; `undefined` if no quota applied. */
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
  /** One per descriptor, in order; empty if the outcome is `error`. */
  readonly statuses: readonly LimitStatus[];
  readonly response: NetHeaders;
  readonly shadow: readonly string[];
  readonly reasons: readonly Reason[];
}

export type CheckKind = 'http' | 'tcp' | 'authzen';

/** The part of the engine that frontends use. */
export interface Engine {
  check(call: CheckKind, wire: Wire, caller: Caller): Verdict | Promise<Verdict>;
  /** One wire per descriptor of the request. */
  limit(descriptors: readonly Wire[], caller: Caller): LimitVerdict | Promise<LimitVerdict>;
  /** A promise if a queue is full: back-pressure, the caller must wait for it before it reads on. */
  report(call: RecordKind, wire: Wire): undefined | Promise<void>;
  /**
   * Settles when every report queued so far is where its handler keeps it: in memory, or written to disk. `undefined`: they are already.
   * A sender that is told that its entries have arrived must be told after this.
   */
  whenSafe(): Promise<void> | undefined;
  /** Some handler of report rules has no room, so that new entries would wait. */
  reportsFull(): boolean;
}
