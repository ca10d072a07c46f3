import type { RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import type { Caller } from '../call.ts';
import type { BatchSecrets } from './batch-secrets.ts';

/** `globalThis.performance` is a getter; keep a local reference on the hot path. */
const monotonic = performance;

/** Part of the caller's time reserved for our answer to reach it. */
const MARGIN_MS = 5;
/** Part of that margin for the fallback handler of a late one; it is local and answers fast. */
const LOCAL_MS = 2;
/** Timeouts for a caller that states none: while the handler is silent, and while it answers other calls. */
export const CALLER_WAITS_MS = 150;
const CALLER_QUEUES_MS = 5000;

/** One call of the engine: its caller, and the time that is left. */
export class CallScope {
  readonly id: string;
  readonly kind: CallKind;
  readonly caller: Caller;
  /** An operator inspects a call: handlers are asked through their inspection gate. */
  readonly isInspection: boolean;
  /** The request of the call; handlers may repeat its secrets in their errors. */
  bags: RequestBag | readonly RequestBag[] | undefined = undefined;
  /** The secrets of a batch of reports. */
  batch: BatchSecrets | undefined = undefined;
  #endsAtMs = 0;
  #nowMs = 0;
  #hasWaited = false;

  constructor(id: string, kind: CallKind, caller: Caller, isInspection = false) {
    this.id = id;
    this.kind = kind;
    this.caller = caller;
    this.isInspection = isInspection;
  }

  about(bags: CallScope['bags']): this {
    this.bags = bags;
    return this;
  }

  /** When it must be answered, by `performance.now()`. Computed when first read, since most calls wait for nothing. */
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

  /** By `performance.now()`. The clock is read once until a handler makes the call wait. */
  get nowMs(): number {
    if (this.#hasWaited) return monotonic.now();
    if (this.#nowMs === 0) this.#nowMs = monotonic.now();
    return this.#nowMs;
  }

  /** The call waits, so its clock moves on. */
  waits(): void {
    this.#hasWaited = true;
  }

  /** How long a handler with this deadline may be silent. */
  silenceMs(deadlineMs: number): number {
    const { endsAtMs } = this.caller;
    const saysHowLong = endsAtMs === undefined ? this.caller.remainingMs !== undefined : endsAtMs !== Infinity;
    return saysHowLong ? deadlineMs : Math.min(deadlineMs, CALLER_WAITS_MS);
  }
}

/** For the fallback of a handler that failed, perhaps after using up the call's time. */
export function fallbackScope({ id, kind, caller: { signal }, endsAtMs, bags }: CallScope): CallScope {
  const remainingMs = Math.max(LOCAL_MS, endsAtMs - performance.now()) + MARGIN_MS;
  return new CallScope(id, kind, { remainingMs, signal }).about(bags);
}

/** For reports, which have no caller. */
export function batchScope(id: string, batch: BatchSecrets): CallScope {
  const scope = new CallScope(id, 'log', { remainingMs: Infinity, signal: undefined });
  scope.batch = batch;
  return scope;
}
