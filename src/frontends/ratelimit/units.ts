/** The units of envoy.type.v3.RateLimitUnit and of RateLimitResponse, which have the same numbers. Months and years as in envoyproxy/ratelimit. */
const DAY_MS = 86_400_000;
const MS_OF_UNIT: ReadonlyMap<number, number> = new Map([
  [1, 1000],
  [2, 60_000],
  [3, 3_600_000],
  [4, DAY_MS],
  [5, 30 * DAY_MS],
  [6, 365 * DAY_MS],
  [7, 7 * DAY_MS],
]);
const UNIT_OF_MS: ReadonlyMap<number, number> = new Map([...MS_OF_UNIT].map(([unit, ms]) => [ms, unit]));

export const msOfUnit = (unit: number): number | undefined => MS_OF_UNIT.get(unit);

/** 0 (UNKNOWN) where the period is not one of Envoy's. */
export const unitOfMs = (ms: number): number => UNIT_OF_MS.get(ms) ?? 0;
