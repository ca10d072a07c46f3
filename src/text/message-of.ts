/** The message of any thrown value; JavaScript may throw values other than errors, and errors with getters that throw. Never throws. */
export function messageOf(error: unknown): string {
  if (isNothing(error)) return `${String(error)} was thrown, in the place of an error`;
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'what was thrown cannot be read';
  }
}

/** Not a guard of types: what is left may still be anything. */
const isNothing = (error: unknown): boolean => error === undefined || error === null;

/** Of the error beneath, where there is one: `fetch failed` says nothing, its cause `connect ECONNREFUSED 127.0.0.1:15014` does. */
export function causeMessageOf(error: unknown): string {
  try {
    return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  } catch {
    return messageOf(error);
  }
}
