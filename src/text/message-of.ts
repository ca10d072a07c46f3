/** The message of any thrown value; JavaScript may throw values other than errors. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
