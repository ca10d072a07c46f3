/**
 * Signals of a server process, from its first line of code on; without a listener, SIGHUP would end it.
 * Imports nothing, so that it runs before anything else is loaded.
 */
export type ServerSignal = 'SIGHUP' | 'SIGTERM' | 'SIGINT';

const buffered: ServerSignal[] = [];
let follow = (signal: ServerSignal): void => {
  buffered.push(signal);
};
let isListening = false;

/** Buffers signals until {@link followSignals} is called. Harmless when repeated. */
export function holdSignals(): void {
  if (isListening) return;
  isListening = true;
  for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT'] as const) process.on(signal, () => follow(signal));
}

/** Passes on the buffered signals, then each new one. */
export function followSignals(next: (signal: ServerSignal) => void): void {
  holdSignals();
  follow = next;
  for (const signal of buffered.splice(0)) next(signal);
}
