import { hash } from 'node:crypto';

const MAX_CHARACTERS = 128;
const HASHED = '\0#';

/**
 * A longer key is stored as its SHA-256, which bounds the memory of a counter. Before hashing, JSON escapes lone surrogates, which would
 * all become U+FFFD.
 */
export function boundedKey(key: string): string {
  if (key.length <= MAX_CHARACTERS && !key.startsWith(HASHED)) return key;
  return `${HASHED}${hash('sha256', key.isWellFormed() ? key : `~${JSON.stringify(key)}`, 'base64url')}`;
}

/** `undefined` if only its SHA-256 is stored. */
export const textOfBounded = (key: string): string | undefined => (key.startsWith(HASHED) ? undefined : key);
