/**
 * Recorded calls: one JSON object a line, the first of a file says so ([replay.md](../../docs/replay.md)).
 * **In**: decided calls (`write-call.ts`), or files (`read-calls.ts`). **Out**: lines, or recorded calls that become wires again
 * (`recorded-wire.ts`) and are decided anew (`replay.ts`). **Fails**: never for a line; one that cannot be read is a problem with its
 * place.
 */
import type { CheckKind, LimitStatus, Outcome, Reason } from '../core/call.ts';

export const FORMAT_VERSION = 1;

/** The first line of a file; may be repeated in it. `skipped`: calls before it that are missing; null if their number is not known. */
export const firstLine = (beganAtMs: number, skipped?: number | null): string =>
  JSON.stringify({ sluice: 'calls', version: FORMAT_VERSION, began: new Date(beganAtMs).toISOString(), skipped });

/** Of longer lines only the place is read. */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** The calls that are recorded: those that are decided. */
export type DecidedKind = CheckKind | 'limit';
export const DECIDED_KINDS: readonly DecidedKind[] = ['http', 'tcp', 'authzen', 'limit'];

type ByName<T> = Readonly<Record<string, T>>;

/** A recorded answer of a handler to a check or allow rule. */
export interface RecordedAnswer {
  readonly handler: string;
  readonly says: 'allow' | 'deny' | 'failed';
  /** google.rpc.Code of a denial. */
  readonly code?: number;
  readonly reason?: string;
  readonly output?: ByName<unknown>;
}

/** Values under names that the operator chose. */
export interface RecordedCarried {
  readonly contextExtension?: ByName<string>;
  /** By namespace. */
  readonly metadata?: ByName<unknown>;
}

/** A request as a proxy sent it; of a limit call one descriptor. */
export interface RecordedRequest {
  /** By names of the vocabulary, as JSON; without those that are derived from others, and without empty maps. */
  readonly attributes: ByName<unknown>;
  readonly carried: RecordedCarried;
  /** Outputs of enrich rules by attribute: null if the handler had none, no key if it was not asked. */
  readonly filled: ByName<unknown>;
  /** By rule. */
  readonly answers: ByName<RecordedAnswer>;
}

export interface RecordedVerdict {
  readonly outcome: Outcome;
  /** null if no rule denied. */
  readonly rule: string | null;
  /** HTTP status; of a limit call 200, 429 or 503. */
  readonly status: number;
  readonly shadow: readonly string[];
  /** Of the policy that decided. */
  readonly revision: string;
  readonly reasons: readonly Reason[];
  /** Of a limit call, one per descriptor. */
  readonly statuses?: readonly LimitStatus[];
}

export interface RecordedCall {
  readonly id: string;
  readonly timeMs: number;
  readonly call: DecidedKind;
  /** undefined of an access log. */
  readonly tookMs: number | undefined;
  /** One; of a limit call one per descriptor. */
  readonly requests: readonly RecordedRequest[];
  /** undefined of an access log. */
  readonly verdict: RecordedVerdict | undefined;
}
