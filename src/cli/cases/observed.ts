/** What a call came to, in words that both drivers (in process, and over gRPC) can give and a case can be compared with. */
import type { NetHeaders, Outcome } from '../../core/call.ts';

export interface SeenCheck {
  readonly kind: 'check';
  readonly outcome: Outcome;
  /** Absent where the wire does not carry it: an `error` is a gRPC status and nothing else. */
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

export interface SeenLimit {
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

export interface SeenReport {
  readonly rule: string;
  readonly handler: string;
  readonly input: Readonly<Record<string, unknown>>;
}
export interface SeenLog {
  readonly kind: 'log';
  readonly reports: readonly SeenReport[];
}

export type Seen = SeenCheck | SeenLimit | SeenLog;
