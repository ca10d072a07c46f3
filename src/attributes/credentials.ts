/** Redacts credentials in URLs. They are in configs, in error messages of backend clients, and in texts made of both. */
import { HIDDEN } from './secrets.ts';

/**
 * What follows `scheme://`, up to the last `@` of the authority. The scheme is looked for backwards from `://`: a pattern that begins with
 * it is tried at each word of a text without `://`, whose author may be a client, and takes the square of its length.
 */
const CREDENTIALS = /(?<=\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#"'<>]*@/gi;
/**
 * A password that is not percent-encoded may contain `/`, `?` and `#`. In http such an `@` is more likely part of a path, and in file
 * always: packages have scopes.
 */
const RAW_CREDENTIALS = /(?<=\b(?!https?:|file:)[a-z][a-z0-9+.-]*:\/\/).*$/i;
const WORDS = /[^\s"'<>]+/g;

/** Replaces the credentials of URLs by `(secret)`. */
export function withoutCredentials(text: string): string {
  return text.includes('://')
    ? text.replaceAll(CREDENTIALS, `${HIDDEN}@`).replaceAll(WORDS, withoutRawCredentials)
    : text;
}

/** Each part that ends at an `@` is searched once. */
function withoutRawCredentials(word: string): string {
  const last = word.lastIndexOf('@');
  if (last < 0) return word;
  const parts = word.slice(0, last).split('@');
  return parts.map((part) => part.replace(RAW_CREDENTIALS, HIDDEN)).join('@') + word.slice(last);
}

/** The same for all texts in a JSON value. */
export function withoutCredentialsIn(value: unknown): unknown {
  if (typeof value === 'string') return withoutCredentials(value);
  if (Array.isArray(value)) return value.map(withoutCredentialsIn);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withoutCredentialsIn(one)]));
}
