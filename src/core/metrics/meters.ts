/**
 * Counters as plain fields: a call pays an addition; names and labels are added when the metrics page is requested.
 * **In**: additions. **Out**: {@link MetersRead}, and families for a metrics page. **Fails**: never.
 */
import { CALL_KINDS, type CallKind, perCallKind } from '../../attributes/carrier.ts';
import type { Outcome } from '../call.ts';

/** Upper bounds of the histogram buckets, in ms; one more bucket has none. */
export const LATENCY_BOUNDS_MS: readonly number[] = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250];

export class Latency {
  count = 0;
  sumMs = 0;
  /** Not cumulative. */
  readonly buckets: number[] = Array.from({ length: LATENCY_BOUNDS_MS.length + 1 }, () => 0);

  add(ms: number): void {
    this.count++;
    this.sumMs += ms;
    let at = 0;
    while (at < LATENCY_BOUNDS_MS.length && ms > (LATENCY_BOUNDS_MS[at] ?? Infinity)) at++;
    this.buckets[at] = (this.buckets[at] ?? 0) + 1;
  }
}

export class RuleMeters {
  /** Calls that its match applied to. */
  matched = 0;
  /** Calls that it denied. */
  denied = 0;
  /** Calls that it would have denied (shadow mode). */
  shadow = 0;
  /** Calls in which a part of it failed: match, input, action. */
  failed = 0;
  /** Calls counted by the fallback handler while its own failed. */
  local = 0;
  /** Calls answered with an error because it failed. */
  errors = 0;
  /** Texts and report fields that failed. */
  texts = 0;
  /** Failures of `by`, the key expression of a percentage. */
  keyFailures = 0;
  /** Reports of http, tcp and limit calls dropped by a full queue. */
  dropped = 0;
  /** When it last applied or failed, by `performance.now()`; a time that the call has anyway. */
  lastAtMs = -Infinity;
}

/**
 * `overload`: the call failed on this side and proves nothing about the backend; too many calls wait for it, or the caller's time ran out
 * in the queue or while the backend was still answering. `gone`: the caller disconnected.
 */
export type FailureKind = 'late' | 'unavailable' | 'rejected' | 'fault' | 'breaker' | 'overload' | 'gone';
export const FAILURE_KINDS: readonly FailureKind[] = [
  'late',
  'unavailable',
  'rejected',
  'fault',
  'breaker',
  'overload',
  'gone',
];

export class HandlerMeters {
  calls = 0;
  readonly failures: Record<FailureKind, number> = {
    late: 0,
    unavailable: 0,
    rejected: 0,
    fault: 0,
    breaker: 0,
    overload: 0,
    gone: 0,
  };
  /** Of asynchronous calls. */
  readonly latency = new Latency();
  /** Answers that arrived after their call was abandoned. */
  abandoned = 0;
  written = 0;
  retried = 0;
  deadLettered = 0;
  /** Reports lost when the handler closed. */
  lost = 0;
  /** Calls answered by an answer that an earlier call got. */
  cacheHits = 0;
  /** Calls answered by the answer of an equal call that was running. */
  cacheShared = 0;
  /** Calls that looked for a kept answer and asked the handler. */
  cacheMisses = 0;
  /** Answers dropped for lack of room. */
  cacheEvictions = 0;
  /** Estimated size of the answers that are kept. */
  cacheBytes = 0;
}

export class CallMeters {
  readonly outcomes: Record<Outcome, number> = { allow: 0, deny: 0, failed: 0, error: 0 };
  readonly latency = new Latency();
  /** Calls answered with an error and log entries dropped because no policy was in force. */
  withoutPolicy = 0;
}

/** A live view: the objects go on counting. */
export interface MetersRead {
  readonly calls: ReadonlyMap<CallKind, Readonly<CallMeters>>;
  readonly rules: ReadonlyMap<string, Readonly<RuleMeters>>;
  readonly handlers: ReadonlyMap<string, Readonly<HandlerMeters>>;
}

export class Meters {
  readonly #calls = perCallKind(() => new CallMeters());
  readonly calls: ReadonlyMap<CallKind, CallMeters> = new Map(CALL_KINDS.map((call) => [call, this.#calls[call]]));
  readonly #rules = new Map<string, RuleMeters>();
  readonly #handlers = new Map<string, HandlerMeters>();

  ofCall(call: CallKind): CallMeters {
    return this.#calls[call];
  }

  ofRule(name: string): RuleMeters {
    return ofName(this.#rules, name, () => new RuleMeters());
  }

  ofHandler(name: string): HandlerMeters {
    return ofName(this.#handlers, name, () => new HandlerMeters());
  }

  /** Drops the meters of all other rules and handlers, which are no longer in force. */
  keepOnly(rules: ReadonlySet<string>, handlers: ReadonlySet<string>): void {
    for (const name of this.#rules.keys()) if (!rules.has(name)) this.#rules.delete(name);
    for (const name of this.#handlers.keys()) if (!handlers.has(name)) this.#handlers.delete(name);
  }

  read(): MetersRead {
    return { calls: this.calls, rules: this.#rules, handlers: this.#handlers };
  }
}

function ofName<T>(known: Map<string, T>, name: string, make: () => T): T {
  let meters = known.get(name);
  if (meters === undefined) known.set(name, (meters = make()));
  return meters;
}
