import type { CallKind } from '../../attributes/carrier.ts';
import type { Caller } from '../call.ts';

/** `globalThis.performance` is a getter; keep a local reference on the hot path. */
const monotonic = performance;

/** Part of the caller's time that is left for our answer to reach it. */
const MARGIN_MS = 5;
/** Part of that margin for the handler that counts in place of a late one; it is near and answers at once. */
const LOCAL_MS = 2;
/** Where the caller does not say how long it waits: for a handler that is silent, and for one that answers other calls. */
export const CALLER_WAITS_MS = 150;
const CALLER_QUEUES_MS = 5000;

/** One call of the engine, as its handlers see it: who asks, how long there is. */
export class CallScope {
  readonly id: string;
  readonly kind: CallKind | undefined;
  readonly caller: Caller;
  /** Somebody looks at what a call would do: handlers are asked by their gate for looks. */
  readonly isLook: boolean;
  #endsAtMs = 0;
  #nowMs = 0;
  #hasWaited = false;

  constructor(id: string, kind: CallKind | undefined, caller: Caller, isLook = false) {
    this.id = id;
    this.kind = kind;
    this.caller = caller;
    this.isLook = isLook;
  }

  /** When it must be answered, by `performance.now()`. Worked out when first read: most calls wait for nothing. */
  get endsAtMs(): number {
    if (this.#endsAtMs === 0) this.#endsAtMs = this.#whenItEnds();
    return this.#endsAtMs;
  }

  #whenItEnds(): number {
    const { endsAtMs } = this.caller;
    if (endsAtMs !== undefined && endsAtMs !== Infinity) return endsAtMs - MARGIN_MS;
    const remainingMs = endsAtMs === Infinity ? undefined : this.caller.remainingMs;
    return this.nowMs + (remainingMs === undefined ? CALLER_QUEUES_MS : remainingMs - MARGIN_MS);
  }

  /** By `performance.now()`. Handlers that answer at once are asked in one go: the clock is read once until one makes the call wait. */
  get nowMs(): number {
    if (this.#hasWaited) return monotonic.now();
    if (this.#nowMs === 0) this.#nowMs = monotonic.now();
    return this.#nowMs;
  }

  /** Its handlers are not asked in one go. */
  waits(): void {
    this.#hasWaited = true;
  }

  /** How long a handler may be silent, that may by itself be so for `deadlineMs`. */
  silenceMs(deadlineMs: number): number {
    const { endsAtMs } = this.caller;
    const saysHowLong = endsAtMs === undefined ? this.caller.remainingMs !== undefined : endsAtMs !== Infinity;
    return saysHowLong ? deadlineMs : Math.min(deadlineMs, CALLER_WAITS_MS);
  }
}

/** For what is asked in the place of a handler that has failed, perhaps with all the time that there was. */
export function scopeOfLocal({ id, kind, caller: { signal }, endsAtMs }: CallScope): CallScope {
  return new CallScope(id, kind, { remainingMs: Math.max(LOCAL_MS, endsAtMs - performance.now()) + MARGIN_MS, signal });
}

/** Of work that nobody waits for: writing reports. */
const NOBODY: Caller = { remainingMs: Infinity, signal: undefined };
export const scopeOfOwn = (id: string): CallScope => new CallScope(id, undefined, NOBODY);
