import { TimeSlice } from './time-slice.ts';

/** A promise for the next turn of the event loop if the current one has lasted 5 ms; else nothing. */
export type Turn = () => Promise<void> | undefined;

/** For long work, such as that of `open`: `const turn = turns()`, and `await turn()` between its steps. */
export function turns(): Turn {
  const slice = new TimeSlice();
  return () => (slice.isOver ? slice.next() : undefined);
}
