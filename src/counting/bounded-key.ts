import { hash } from 'node:crypto';

const MOST_CHARACTERS = 128;
const HASHED = '\0#';

/**
 * A longer key is kept as its SHA-256, so that no client decides how much memory a counter takes. Half a surrogate pair would be hashed as
 * U+FFFD; JSON escapes it.
 */
export function boundedKey(key: string): string {
  if (key.length <= MOST_CHARACTERS && !key.startsWith(HASHED)) return key;
  return `${HASHED}${hash('sha256', key.isWellFormed() ? key : `~${JSON.stringify(key)}`, 'base64url')}`;
}
