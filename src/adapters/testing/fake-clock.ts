/** A clock that moves only when a test moves it. */
export interface FakeClock {
  nowMs(): number;
  /** Moves by `advance` and `toNextWindow`; never back. */
  monotonicMs(): number;
  advance(ms: number): void;
  set(nowMs: number): void;
  /** Moves to the start of the next window of this length. */
  toNextWindow(perMs: number): void;
}

/** Starts at midnight UTC by default. */
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
