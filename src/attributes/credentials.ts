/** Redacts credentials in URLs. They are in configs, in error messages of backend clients, and in texts made of both. */
import { HIDDEN } from './secrets.ts';

/** `scheme://user:password@`, up to the last `@` of the authority. */
const CREDENTIALS = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"'<>]*@/gi;
/**
 * A password that is not percent-encoded may contain `/`, `?` and `#`. In http such an `@` is more likely part of a path, and in file
 * always: packages have scopes.
 */
const RAW_CREDENTIALS = /\b((?!https?:|file:)[a-z][a-z0-9+.-]*:\/\/)[^\s"'<>@]*@/gi;

/** Replaces the credentials of URLs by `(secret)`. */
export function withoutCredentials(text: string): string {
  return text.includes('://')
    ? text.replaceAll(CREDENTIALS, `$1${HIDDEN}@`).replaceAll(RAW_CREDENTIALS, `$1${HIDDEN}@`)
    : text;
}

/** The same for all texts in a JSON value. */
export function withoutCredentialsIn(value: unknown): unknown {
  if (typeof value === 'string') return withoutCredentials(value);
  if (Array.isArray(value)) return value.map(withoutCredentialsIn);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withoutCredentialsIn(one)]));
}
