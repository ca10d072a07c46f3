/** How a handler answers a check, and how it fails. */

/** gRPC status codes that a check may deny with (google.rpc.Code). */
export const UNAUTHENTICATED = 16;
export const PERMISSION_DENIED = 7;
export const RESOURCE_EXHAUSTED = 8;
export const FAILED_PRECONDITION = 9;
export const NOT_FOUND = 5;
export const INVALID_ARGUMENT = 3;

export interface Allow {
  readonly kind: 'allow';
  /** How long the answer is valid for the same input; 0: unknown. Sluice does not cache answers; it asks for each call. */
  readonly validForMs: number;
  /** How often it may be used within that time. */
  readonly uses: number;
  readonly output: Readonly<Record<string, unknown>> | undefined;
}
export interface Deny {
  readonly kind: 'deny';
  /** A gRPC status code other than 0. */
  readonly code: number;
  /** For operators; clients see it only if the rule's onDeny reads `out.reason`. */
  readonly reason: string;
  readonly validForMs: number;
  readonly output: Readonly<Record<string, unknown>> | undefined;
}
export type CheckAnswer = Allow | Deny;

export function allow(
  options: { validForMs?: number; uses?: number; output?: Readonly<Record<string, unknown>> } = {},
): Allow {
  return {
    kind: 'allow',
    validForMs: options.validForMs ?? 0,
    uses: options.uses ?? Number.MAX_SAFE_INTEGER,
    output: options.output,
  };
}

export function deny(
  code: number,
  reason: string,
  options: { validForMs?: number; output?: Readonly<Record<string, unknown>> } = {},
): Deny {
  return { kind: 'deny', code, reason, validForMs: options.validForMs ?? 0, output: options.output };
}

/** The backend is unavailable. Reports are retried, after `retryAfterMs` if that is above 0. */
export class Unavailable extends Error {
  readonly retryAfterMs: number;
  constructor(why: string, retryAfterMs = 0, options?: ErrorOptions) {
    super(why, options);
    this.name = 'Unavailable';
    this.retryAfterMs = retryAfterMs;
  }
}

/** The same input would fail again, so reports are not retried. `entries`: indexes of the rejected ones; all if absent. */
export class Rejected extends Error {
  readonly entries: readonly number[] | undefined;
  constructor(why: string, entries?: readonly number[], options?: ErrorOptions) {
    super(why, options);
    this.name = 'Rejected';
    this.entries = entries;
  }
}
