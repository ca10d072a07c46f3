/**
 * Signals of a process that serves, from its first line of code to its end: without a listener SIGHUP would end it.
 * It imports nothing, so that it is there before anything else is loaded.
 */
export type ServerSignal = 'SIGHUP' | 'SIGTERM' | 'SIGINT';

const held: ServerSignal[] = [];
let follow = (signal: ServerSignal): void => {
  held.push(signal);
};
let isHeld = false;

/** From now on signals wait for {@link followSignals}. Harmless when repeated. */
export function holdSignals(): void {
  if (isHeld) return;
  isHeld = true;
  for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT'] as const) process.on(signal, () => follow(signal));
}

/** Those that wait first. */
export function followSignals(next: (signal: ServerSignal) => void): void {
  holdSignals();
  follow = next;
  for (const signal of held.splice(0)) next(signal);
}
