/** Converts the fields of a log line to JSON values: an Error has no enumerable properties, so JSON.stringify would print `{}`. */
import type { LogFields } from '../adapters/contract.ts';
import { withoutCredentials } from '../attributes/credentials.ts';

/** Chains of causes may be circular, and messages of any length. */
const DEEPEST = 5;
const MAX_ERRORS = 10;
const LONGEST = 65_536;

export interface LoggedError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | number;
  readonly cause?: unknown;
  /** Of an AggregateError, the first ten. */
  readonly errors?: readonly unknown[];
  readonly stack?: string;
}

/** Of the line itself; a second member of one name would take its place for whoever reads the line. */
const OWN_NAMES: ReadonlySet<string> = new Set(['level', 'time', 'msg']);
const UNREADABLE = '(cannot be read)';

/** Never throws, since it logs failures. */
export function loggedFields(fields: LogFields, withStack: boolean): Record<string, unknown> {
  try {
    return Object.fromEntries(
      Object.keys(fields).map((name) => [
        OWN_NAMES.has(name) ? `${name}_` : name,
        readValue(() => loggedValue(fields[name], withStack)),
      ]),
    );
  } catch {
    return { fields: UNREADABLE };
  }
}

function readValue(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return UNREADABLE; // a getter threw
  }
}

/** A text of a line: whole where it is not too long. */
export const loggedText = (text: string): string =>
  withoutCredentials(text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text);

function loggedValue(value: unknown, withStack: boolean, depth = 0): unknown {
  if (typeof value === 'string') return loggedText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (depth > DEEPEST) return '...';
  return readValue(() => {
    if (value instanceof Error) return loggedError(value, withStack, depth);
    if (Array.isArray(value)) return value.map((one) => loggedValue(one, withStack, depth + 1));
    if (Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, loggedValue(one, withStack, depth + 1)]),
    );
  });
}

function loggedError(
  error: Error & { readonly code?: unknown; readonly errors?: unknown },
  withStack: boolean,
  depth: number,
): LoggedError {
  const { name, message, code, cause, errors, stack } = error;
  return {
    name: String(name),
    message: withoutCredentials(String(message).slice(0, LONGEST)),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(cause === undefined ? {} : { cause: loggedValue(cause, withStack, depth + 1) }),
    ...(Array.isArray(errors)
      ? { errors: errors.slice(0, MAX_ERRORS).map((one) => loggedValue(one, withStack, depth + 1)) }
      : {}),
    ...(withStack && typeof stack === 'string' ? { stack: withoutCredentials(stack.slice(0, LONGEST)) } : {}),
  };
}

export function isLoggedError(value: unknown): value is LoggedError {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as LoggedError).name === 'string' &&
    typeof (value as LoggedError).message === 'string'
  );
}

/** `TypeError: it broke (ECODE), since Error: the reason`. */
export function errorText({ name, message, code, cause, errors = [], stack }: LoggedError): string {
  const causes = [...(cause === undefined ? [] : [cause]), ...errors].map((one) =>
    isLoggedError(one) ? errorText(one) : typeof one === 'string' ? one : JSON.stringify(one),
  );
  const because = causes.length === 0 ? '' : `, since ${causes.join('; ')}`;
  const own = `${name}: ${message}${code === undefined || message.includes(String(code)) ? '' : ` (${code})`}${because}`;
  return stack === undefined ? own : `${own}\n${stack}`;
}
