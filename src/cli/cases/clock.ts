/** The clock of a case: stands still, goes on when told. Begins at the start of a minute, an hour, a day (UTC) and an epoch week. */
const BEGINNING_MS = Date.UTC(2026, 0, 1);

export interface CaseClock {
  nowMs(): number;
  monotonicMs(): number;
  advance(ms: number): void;
}

export function caseClock(): CaseClock {
  let nowMs = BEGINNING_MS;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    advance: (ms) => {
      nowMs += ms;
    },
  };
}
