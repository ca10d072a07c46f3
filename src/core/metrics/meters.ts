/**
 * What happened, in plain numbers: a call pays an addition, words are put to them when the admin port asks.
 * **In**: additions by whoever counts. **Out**: {@link MetersRead}, and families for a metrics page. **Fails**: never.
 */
import { CALL_KINDS, type CallKind, perCallKind } from '../../attributes/carrier.ts';
import type { Outcome } from '../call.ts';

/** Upper bounds of the histograms, in milliseconds; the last bucket is without one. */
export const LATENCY_BOUNDS_MS: readonly number[] = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250];

export class Latency {
  count = 0;
  sumMs = 0;
  /** Not cumulative; one more than there are bounds. */
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
  /** Its match applied. */
  matched = 0;
  /** It refused, enforced. */
  denied = 0;
  /** It would have refused (shadow). */
  shadow = 0;
  /** A part of it failed: match, input, action. */
  failed = 0;
  /** Counted in the place of its handler, which failed. */
  local = 0;
  /** Its failure was answered as an error. */
  errors = 0;
  /** Texts and fields that failed. */
  texts = 0;
  /** A `by` that failed. */
  by = 0;
  /** Reports of http, tcp and limit calls that a full queue did not take. */
  dropped = 0;
}

/**
 * `overload` failed on this side, and says nothing of the backend: too many calls wait for it, or the caller's time was over in the queue
 * or while answers were still coming.
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
  /** Of calls that were waited for. */
  readonly latency = new Latency();
  /** Answers that came after their call was given up. */
  abandoned = 0;
  written = 0;
  retried = 0;
  deadLettered = 0;
  /** Given up when the process ended. */
  lost = 0;
}

export class CallMeters {
  readonly outcomes: Record<Outcome, number> = { allow: 0, deny: 0, failed: 0, error: 0 };
  readonly latency = new Latency();
  /** Calls answered with an error, and log entries dropped, since no policy was in force. */
  withoutPolicy = 0;
}

/** As of now; the numbers go on counting in the objects that are named. */
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

  /** Forgets rules and handlers that are not in force any more. */
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
