/** The result of a call, in the form that both drivers (in process, over gRPC) can provide. */
import type { NetHeaders, Outcome } from '../../core/call.ts';

export interface ObservedCheck {
  readonly kind: 'check';
  readonly outcome: Outcome;
  /** Absent if the wire does not carry it: an `error` is only a gRPC status. */
  readonly rule: string | undefined;
  readonly status: number;
  readonly body: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly request: NetHeaders;
  readonly response: NetHeaders;
  readonly query: { readonly set: readonly (readonly [string, string])[]; readonly remove: readonly string[] };
  readonly metadata: readonly (readonly [string, string])[];
  readonly shadow: readonly string[];
  readonly reasons: readonly string[];
}

export interface ObservedLimit {
  readonly kind: 'limit';
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  readonly statuses: readonly {
    readonly over: boolean;
    readonly rule: string | undefined;
    readonly limit: number;
    readonly remaining: number;
    readonly resetSeconds: number;
  }[];
  readonly response: NetHeaders;
  readonly shadow: readonly string[];
  readonly reasons: readonly string[];
}

export interface ObservedReport {
  readonly rule: string;
  readonly handler: string;
  readonly input: Readonly<Record<string, unknown>>;
}
export interface ObservedLog {
  readonly kind: 'log';
  readonly reports: readonly ObservedReport[];
}

export type Observed = ObservedCheck | ObservedLimit | ObservedLog;
