/** Errors as messages, whatever was thrown. */
import type { LogFields } from '../contract.ts';
import { messageOf } from '../../text/message-of.ts';
import type { ErrorFields } from './protocol.ts';

const LONGEST = 65_536;
const DEEPEST = 8;

/** Never throws, since a plugin may throw anything. */
export function errorFields(thrown: unknown): ErrorFields {
  try {
    if (!(thrown instanceof Error)) return { name: 'Error', message: cut(messageOf(thrown)) };
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

/** Fields of a log line, which are bounded, with errors as plain values: a clone of an error has no code. */
export function loggedFields(fields: LogFields): LogFields {
  return fieldsAt(fields, 0);
}

const fieldsAt = (fields: LogFields, depth: number): LogFields =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, loggedValue(value, depth)]));

const isPlain = (value: unknown): value is LogFields =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

function loggedValue(value: unknown, depth: number): unknown {
  if (depth > DEEPEST) return '...';
  if (Array.isArray(value)) return value.map((one) => loggedValue(one, depth + 1));
  if (!(value instanceof Error)) return isPlain(value) ? fieldsAt(value, depth + 1) : value;
  const { code } = value as { readonly code?: unknown };
  const { name, message } = errorFields(value);
  return {
    name,
    message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...('errors' in value ? { errors: loggedValue(value.errors, depth + 1) } : {}),
    ...(value.cause === undefined ? {} : { cause: loggedValue(value.cause, depth + 1) }),
  };
}

const cut = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text);
