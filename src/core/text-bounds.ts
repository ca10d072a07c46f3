/**
 * The longest texts of an answer, in UTF-16 units; longer ones are cut. They are cut and do not fail, since a failure may
 * allow the call. docs/rules.md has these numbers; a test compares them.
 */
/** As long as the largest body that a proxy buffers by default, and as one evaluation may build. */
export const MAX_BODY = 1_048_576;
/** Of one value; most clients refuse a head that is longer. */
export const MAX_HEADER = 16_384;
/** Of a handler's reason or error: in verdicts, in the log, and as `out.reason`. */
export const MAX_REASON = 4096;
