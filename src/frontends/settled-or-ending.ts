/** Waits for room in a queue. A full queue has accepted the entry for which it delays the sender, so a server that ends its calls need not wait. */
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
