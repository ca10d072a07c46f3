/** Windows of a limit: spans of time, or periods of a calendar. */
import { type Calendar, calendarOf } from '../../counting/calendar.ts';
import { secondsOf, Unit } from '../call.ts';

export type Window = Calendar;

export const windowOf = (unit: Unit, isCalendarMonth = false): Window =>
  isCalendarMonth && unit === Unit.MONTH ? CALENDAR_MONTH : spanWindow(secondsOf(unit));

const CALENDAR_MONTH = calendarOf('month', 'UTC');

/** Windows of one length, aligned to multiples of it since 1970, as the units of the reference are. */
export function spanWindow(lengthS: number): Window {
  return {
    lengthS,
    at(nowS) {
      const startS = nowS - (nowS % lengthS);
      return { startS, endsAtS: startS + lengthS };
    },
  };
}
