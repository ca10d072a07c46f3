/** The message of any thrown value; JavaScript may throw values other than errors, and errors with getters that throw. Never throws. */
export function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'what was thrown cannot be read';
  }
}

/** Of the error beneath, where there is one: `fetch failed` says nothing, its cause `connect ECONNREFUSED 127.0.0.1:15014` does. */
export function causeMessageOf(error: unknown): string {
  try {
    return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  } catch {
    return messageOf(error);
  }
}
