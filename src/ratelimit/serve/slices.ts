import { setImmediate as nextTurn } from 'node:timers/promises';

/** What a page may take of the event loop at once; calls wait no longer for it. */
const SLICE_MS = 5;
/** The clock is not looked at for each line. */
const LOOK_EVERY = 16;

/** For a long loop, called once a round: a promise where others are to have their turn first. */
export function slices(): () => Promise<void> | undefined {
  let rounds = 0;
  let beganAtMs = performance.now();
  return () => {
    if (++rounds % LOOK_EVERY !== 0 || performance.now() - beganAtMs < SLICE_MS) return undefined;
    return nextTurn().then(() => {
      beganAtMs = performance.now();
    });
  };
}
