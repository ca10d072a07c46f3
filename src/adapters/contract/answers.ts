/** How a handler answers a check, and how it fails. */

/** gRPC status codes that a check may deny with (google.rpc.Code). */
export const UNAUTHENTICATED = 16;
export const PERMISSION_DENIED = 7;
export const RESOURCE_EXHAUSTED = 8;
export const FAILED_PRECONDITION = 9;
export const NOT_FOUND = 5;
export const INVALID_ARGUMENT = 3;

/**
 * How long an answer holds for the same rule, params and input. Sluice keeps such an answer, and lets equal calls that wait at the same
 * time share one (docs/plugins.md#answers-that-stay-valid). Absent: the answer is for its call alone.
 */
export interface Validity {
  /** 0: calls that wait now may share it; it is not kept. At most a day counts. */
  readonly validForMs: number | undefined;
  /** How many calls it may answer, the first included. */
  readonly uses: number;
}
export interface Allow extends Validity {
  readonly kind: 'allow';
  readonly output: Readonly<Record<string, unknown>> | undefined;
}
export interface Deny {
  readonly kind: 'deny';
  /** A gRPC status code other than 0. */
  readonly code: number;
  /** For operators; clients see it only if the rule's onDeny reads `out.reason`. Empty: the words of the code stand in its place. */
  readonly reason: string;
  readonly validForMs: Validity['validForMs'];
  readonly output: Readonly<Record<string, unknown>> | undefined;
  /** Headers of the HTTP answer, names in lower case, such as `www-authenticate`; the rule's onDeny replaces those that it names. */
  readonly headers: Readonly<Record<string, string>> | undefined;
}
export type CheckAnswer = Allow | Deny;

export function allow(
  options: { validForMs?: number; uses?: number; output?: Readonly<Record<string, unknown>> } = {},
): Allow {
  return {
    kind: 'allow',
    validForMs: options.validForMs,
    uses: options.uses ?? Number.MAX_SAFE_INTEGER,
    output: options.output,
  };
}

export function deny(
  code: number,
  reason: string,
  options: {
    validForMs?: number;
    output?: Readonly<Record<string, unknown>>;
    headers?: Readonly<Record<string, string>>;
  } = {},
): Deny {
  return {
    kind: 'deny',
    code,
    reason,
    validForMs: options.validForMs,
    output: options.output,
    headers: options.headers,
  };
}

/** A lookup's values with their validity; `undefined`: nothing is known of this input, which may stay valid too. */
export interface Found<O = Readonly<Record<string, unknown>>> extends Validity {
  readonly [FOUND]: true;
  readonly values: O | undefined;
}
/** Outputs may have any names, so a symbol tells them from an answer; global, since a plugin may bundle its own copy of the contract. */
export const FOUND: unique symbol = Symbol.for('sluice.found') as never;

export function found(values: undefined, options?: { validForMs?: number; uses?: number }): Found<never>;
export function found<O>(values: O | undefined, options?: { validForMs?: number; uses?: number }): Found<O>;
export function found<O>(values: O | undefined, options: { validForMs?: number; uses?: number } = {}): Found<O> {
  return { [FOUND]: true, values, validForMs: options.validForMs, uses: options.uses ?? Number.MAX_SAFE_INTEGER };
}

export const isFound = (answer: object | undefined): answer is Found => answer !== undefined && FOUND in answer;

/** The values of a lookup's answer. */
export const valuesOf = (
  answer: Readonly<Record<string, unknown>> | Found | undefined,
): Readonly<Record<string, unknown>> | undefined => (isFound(answer) ? answer.values : answer);

/** The backend is unavailable. Reports are retried, after `retryAfterMs` if that is above 0. */
export class Unavailable extends Error {
  readonly retryAfterMs: number;
  constructor(why: string, retryAfterMs = 0, options?: ErrorOptions) {
    super(why, options);
    this.name = 'Unavailable';
    this.retryAfterMs = retryAfterMs;
  }
}

/** The same input would fail again, so reports are not retried. `entries`: indexes of the rejected ones; all if absent or empty. */
export class Rejected extends Error {
  readonly entries: readonly number[] | undefined;
  constructor(why: string, entries?: readonly number[], options?: ErrorOptions) {
    super(why, options);
    this.name = 'Rejected';
    this.entries = entries;
  }
}
