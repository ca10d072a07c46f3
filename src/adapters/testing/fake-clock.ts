/** A clock that moves only when a test moves it. */
export interface FakeClock {
  /** The two times; a handler in a worker reads them there. */
  readonly memory: SharedArrayBuffer;
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
  const memory = new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
  const times = new Float64Array(memory);
  const nowMs = (): number => times[0] as number;
  const set = (ms: number): void => {
    times[0] = ms;
  };
  const advance = (ms: number): void => {
    set(nowMs() + ms);
    times[1] = (times[1] as number) + ms;
  };
  set(startsAtMs);
  return {
    memory,
    nowMs,
    monotonicMs: () => times[1] as number,
    advance,
    set,
    toNextWindow: (perMs) => advance((Math.floor(nowMs() / perMs) + 1) * perMs - nowMs()),
  };
}
