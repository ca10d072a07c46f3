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

/** `1s`, `500ms`, `1m`, `1h`: milliseconds. The form is checked by the schema. */
export function spanMs(text: string): number {
  const [, amount = '0', unit = 'ms'] = /^([\d.]+)(ms|s|m|h)$/.exec(text) ?? [];
  return Number(amount) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit as 'ms' | 's' | 'm' | 'h'];
}
