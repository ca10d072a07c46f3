/** A clock that stands still until it is told to go on. */
export interface FakeClock {
  nowMs(): number;
  /** Goes on with `advance` and `toNextWindow`, never back. */
  monotonicMs(): number;
  advance(ms: number): void;
  set(nowMs: number): void;
  /** To the next beginning of a window of that length. */
  toNextWindow(perMs: number): void;
}

/** Starts at the beginning of a day of UTC where nothing is said. */
export function fakeClock(startsAtMs: number = Date.UTC(2026, 0, 1)): FakeClock {
  let nowMs = startsAtMs;
  let monotonicMs = 0;
  const advance = (ms: number): void => {
    nowMs += ms;
    monotonicMs += ms;
  };
  return {
    nowMs: () => nowMs,
    monotonicMs: () => monotonicMs,
    advance,
    set: (ms) => {
      nowMs = ms;
    },
    toNextWindow: (perMs) => advance((Math.floor(nowMs / perMs) + 1) * perMs - nowMs),
  };
}
