/**
 * The secrets of the handlers of this process, for errors that nobody catches: they name no handler.
 * **In**: the secrets of each handler that opens. **Out**: errors and texts without them. **Fails**: never.
 */
import type { SecretTexts } from '../text/secret-texts.ts';

/** Of closed handlers: a socket may fail afterwards. */
const MAX_CLOSED = 100;

/** How many open handlers have them. */
const open = new Map<SecretTexts, number>();
/** Oldest first. */
const closed = new Set<SecretTexts>();

/** Returns what ends the use, once the handler is closed. */
export function useSecrets(secrets: SecretTexts): () => void {
  open.set(secrets, (open.get(secrets) ?? 0) + 1);
  closed.delete(secrets);
  return () => {
    const others = (open.get(secrets) ?? 1) - 1;
    if (others > 0) open.set(secrets, others);
    else {
      open.delete(secrets);
      if (!secrets.areNone) closed.add(secrets);
      for (const oldest of closed) if (closed.size > MAX_CLOSED) closed.delete(oldest);
    }
  };
}

/** A text, an error, or any value of a log line. */
export const withoutSecretsInUse = (shown: unknown): unknown =>
  [...open.keys(), ...closed].reduce((before, secrets) => secrets.value(before), shown);
