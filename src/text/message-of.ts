/** The message of anything that was thrown; JavaScript may throw what is no Error. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
