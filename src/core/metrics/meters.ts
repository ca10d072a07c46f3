/**
 * Counters as plain fields: a call pays an addition; names and labels are added when the metrics page is requested.
 * **In**: additions. **Out**: {@link MetersRead}, and families for a metrics page. **Fails**: never.
 */
import { CALL_KINDS, type CallKind, perCallKind } from '../../attributes/carrier.ts';
import type { Outcome } from '../call.ts';

/** Upper bounds of the buckets of a histogram, in ms; one more bucket has none. Of calls, which proxies let wait for at most 250 ms. */
export const CALL_BOUNDS_MS: readonly number[] = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250];
/** Those of Prometheus' clients, and some below: a backend may be near, or take a batch of reports. */
export const HANDLER_BOUNDS_MS: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
];

export class Latency {
  count = 0;
  sumMs = 0;
  readonly boundsMs: readonly number[];
  /** Not cumulative. */
  readonly buckets: number[];

  constructor(boundsMs: readonly number[]) {
    this.boundsMs = boundsMs;
    this.buckets = Array.from({ length: boundsMs.length + 1 }, () => 0);
  }

  add(ms: number): void {
    this.count++;
    this.sumMs += ms;
    const { boundsMs } = this;
    let at = 0;
    while (at < boundsMs.length && ms > (boundsMs[at] ?? Infinity)) at++;
    this.buckets[at] = (this.buckets[at] ?? 0) + 1;
  }

  /** Adds what another one with the same bounds has counted. */
  merge({ count, sumMs, buckets }: Pick<Latency, 'count' | 'sumMs' | 'buckets'>): void {
    this.count += count;
    this.sumMs += sumMs;
    for (const [at, inBucket] of buckets.entries()) this.buckets[at] = (this.buckets[at] ?? 0) + inBucket;
  }
}

/** The bound below which this part of the values is, interpolated as Prometheus does; `undefined` without values. */
export function quantileMs(
  quantile: number,
  boundsMs: readonly number[],
  buckets: readonly number[],
): number | undefined {
  const wanted = quantile * buckets.reduce((sum, count) => sum + count, 0);
  if (wanted === 0) return undefined;
  let below = 0;
  for (const [at, count] of buckets.entries()) {
    const upper = boundsMs[at];
    if (upper === undefined) break;
    const lower = boundsMs[at - 1] ?? 0;
    if (below + count >= wanted) return lower + ((upper - lower) * (wanted - below)) / count;
    below += count;
  }
  return boundsMs.at(-1);
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
  /** Of calls that did not answer at once, until they were answered or abandoned; the others read no clock. */
  readonly latency = new Latency(HANDLER_BOUNDS_MS);
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
  readonly latency = new Latency(CALL_BOUNDS_MS);
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
