/** The message of any thrown value; JavaScript may throw values other than errors. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Of the error beneath, where there is one: `fetch failed` says nothing, its cause `connect ECONNREFUSED 127.0.0.1:15014` does. */
export const causeMessageOf = (error: unknown): string =>
  messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
