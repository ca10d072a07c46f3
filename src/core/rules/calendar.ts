/**
 * Periods of a calendar: midnight to midnight in a time zone, weeks from Monday, months as they are long.
 * **In**: a time. **Out**: the period that holds it. **Fails**: never; a zone is checked when it is read ({@link isZone}).
 */
import { DateTime, IANAZone } from 'luxon';

export interface WindowAt { readonly startS: number; readonly endsAtS: number }

export const CALENDAR = ['day', 'week', 'month', 'year'] as const;
export type CalendarPeriod = (typeof CALENDAR)[number];
const ABOUT_S: Readonly<Record<CalendarPeriod, number>> = { day: 86_400, week: 7 * 86_400, month: 31 * 86_400, year: 366 * 86_400 };

export interface Calendar {
  /** About: months differ, and days that a clock is set in. */
  readonly lengthS: number;
  /** Seconds since 1970. */
  at(nowS: number): WindowAt;
}

/** Of the IANA database: `Europe/Amsterdam`. */
export const isZone = (name: string): boolean => IANAZone.isValidZone(name);

export function calendarOf(period: CalendarPeriod, zone: string): Calendar {
  /** Those asked for last: now's, and for a sliding limit the one before. */
  let known: readonly WindowAt[] = [];
  return {
    lengthS: ABOUT_S[period],
    at(nowS) {
      const found = known.find(({ startS, endsAtS }) => nowS >= startS && nowS < endsAtS);
      if (found !== undefined) return found;
      const start = DateTime.fromSeconds(nowS, { zone }).startOf(period);
      const window = { startS: start.toSeconds(), endsAtS: start.plus({ [period]: 1 }).startOf(period).toSeconds() };
      known = [window, ...known.slice(0, 1)];
      return window;
    },
  };
}
