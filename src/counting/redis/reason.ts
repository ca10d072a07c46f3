/** Reasons why Redis cannot be asked. */

/** Without a word of the server. */
export const CLOSED = 'the connection is closed';

/** Redis 7 appends this to an error within a script; it does not help operators. */
const BACK_OFF = / Retrying from scratch after [\d.]+ms\./;
const IN_SCRIPT = / script: [0-9a-f]{40}, on @user_script:\d+\.?$/;
/** Of a command that the server does not have; arguments hold what clients sent. */
const ARGUMENTS = /,? with args beginning with: .*$/s;

/**
 * Message of an error, with its cause. For a host with several addresses Node throws an AggregateError without a message; ioredis puts the
 * error of a cluster's node beside the message, and its back-off into that of sentinels.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') {
    const { lastNodeError } = error as { readonly lastNodeError?: unknown };
    const message = error.message.replace(ARGUMENTS, '').replace(IN_SCRIPT, '').replace(BACK_OFF, '');
    return lastNodeError === undefined ? message : `${message.replace(/\.$/, '')}: ${reasonOf(lastNodeError)}`;
  }
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [];
  return first === undefined ? ((error as NodeJS.ErrnoException).code ?? error.name) : reasonOf(first);
}
