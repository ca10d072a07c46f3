/** Errors as messages, whatever was thrown. */
import type { LogFields } from '../contract.ts';
import type { ErrorFields } from './protocol.ts';

const LONGEST = 65_536;
const DEEPEST = 5;

/** Never throws, since a plugin may throw anything. */
export function errorFields(thrown: unknown): ErrorFields {
  try {
    if (!(thrown instanceof Error)) return { name: 'Error', message: cut(String(thrown)) };
    const { name, message, stack } = thrown;
    const { retryAfterMs, entries } = thrown as { readonly retryAfterMs?: unknown; readonly entries?: unknown };
    return {
      name: cut(String(name)),
      message: cut(String(message)),
      ...(typeof stack === 'string' ? { stack: cut(stack) } : {}),
      ...(typeof retryAfterMs === 'number' && Number.isFinite(retryAfterMs) ? { retryAfterMs } : {}),
      ...(Array.isArray(entries) && entries.every((one) => Number.isInteger(one))
        ? { entries: entries as number[] }
        : {}),
    };
  } catch {
    return { name: 'Error', message: 'what was thrown cannot be read' };
  }
}

/** A fault of the other side, found here: its place is not one of this process. */
export function faultOfPlugin(why: string): Error {
  const error = new Error(why);
  error.stack = `Error: ${why}`;
  return error;
}

/** Fields of a log line with errors as plain values: a clone of an error has no code. */
export function loggedFields(fields: LogFields): LogFields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, loggedValue(value, 0)]));
}

function loggedValue(value: unknown, depth: number): unknown {
  if (!(value instanceof Error)) return value;
  const { code } = value as { readonly code?: unknown };
  const { name, message } = errorFields(value);
  return {
    name,
    message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(value.cause === undefined || depth >= DEEPEST ? {} : { cause: loggedValue(value.cause, depth + 1) }),
  };
}

const cut = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text);
