/**
 * SIGUSR1 reopens log files, as it does for Envoy and NGINX. Worker threads get no signals; there, and after a `mv` without a signal,
 * the next batch finds that the file has moved.
 */

const listeners = new Set<() => void>();
let isListening = false;

/** Returns a function that removes the listener. */
export function onReopenSignal(reopen: () => void): () => void {
  listeners.add(reopen);
  if (!isListening) {
    isListening = true;
    // Never removed: without a listener the signal would end the process.
    process.on('SIGUSR1', () => {
      for (const listener of listeners) listener();
    });
  }
  return () => {
    listeners.delete(reopen);
  };
}
