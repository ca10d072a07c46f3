/**
 * When a limit begins anew.
 * **In**: a time. **Out**: the window that holds it. **Fails**: never; a zone is checked when the file is read.
 */
import { DateTime, IANAZone } from 'luxon';

export interface WindowAt { readonly startS: number; readonly endsAtS: number }

export interface Window {
  /** About, for a calendar's: months differ. */
  readonly lengthS: number;
  at(nowS: number): WindowAt;
}

/** Windows of one length, at multiples of it since 1970: the units of the reference, and any other span. */
export function spanWindow(lengthS: number): Window {
  return {
    lengthS,
    at(nowS) {
      const startS = nowS - (nowS % lengthS);
      return { startS, endsAtS: startS + lengthS };
    },
  };
}

export const CALENDAR = ['day', 'week', 'month', 'year'] as const;
export type CalendarPeriod = (typeof CALENDAR)[number];
const ABOUT_S: Readonly<Record<CalendarPeriod, number>> = { day: 86_400, week: 7 * 86_400, month: 31 * 86_400, year: 366 * 86_400 };

export const isZone = (name: string): boolean => IANAZone.isValidZone(name);

/** Windows of a calendar: midnight to midnight in a time zone, weeks from Monday, months as they are long. */
export function calendarWindow(period: CalendarPeriod, zone: string): Window {
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
