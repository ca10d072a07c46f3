/** Back-pressure for senders of records: room in a queue, and records that are safe. */
import { messageOf } from '../text/message-of.ts';
import { GrpcError, Status } from '../transport/transport.ts';

/**
 * Waits for room in a queue. A full queue has accepted the entry for which it delays the sender, so a server that ends its calls need not
 * wait.
 */
export async function settledOrEnding(waiting: Promise<void>, ending: AbortSignal): Promise<void> {
  if (ending.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const onEnding = (): void => resolve();
  ending.addEventListener('abort', onEnding, { once: true });
  try {
    await Promise.race([waiting, promise]);
  } finally {
    ending.removeEventListener('abort', onEnding);
  }
}

/**
 * Waits until records are safe. If they cannot be, since the server stops while its disk fails, the call ends with UNAVAILABLE: a sender
 * that may try again then does.
 */
export async function untilSafe(safe: Promise<void> | undefined): Promise<void> {
  try {
    await safe;
  } catch (error) {
    throw new GrpcError(Status.UNAVAILABLE, `the records could not be written to disk: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
