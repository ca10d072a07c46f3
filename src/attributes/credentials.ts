/** Credentials in URLs, which stand in configs, in messages of clients of backends, and in what is made of both. */
import { HIDDEN } from './secrets.ts';

/** `scheme://user:password@`, up to the last `@` of the authority. */
const CREDENTIALS = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"'<>]*@/gi;
/** A password that is not percent-encoded may hold `/`, `?` and `#`; of http such an `@` stands in a path more likely. */
const RAW_CREDENTIALS = /\b((?!https?:)[a-z][a-z0-9+.-]*:\/\/)[^\s"'<>@]*@/gi;

/** Credentials of URLs are replaced by `(secret)`. */
export function withoutCredentials(text: string): string {
  return text.includes('://')
    ? text.replaceAll(CREDENTIALS, `$1${HIDDEN}@`).replaceAll(RAW_CREDENTIALS, `$1${HIDDEN}@`)
    : text;
}

/** The same of all texts in a value of JSON. */
export function withoutCredentialsIn(value: unknown): unknown {
  if (typeof value === 'string') return withoutCredentials(value);
  if (Array.isArray(value)) return value.map(withoutCredentialsIn);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withoutCredentialsIn(one)]));
}
