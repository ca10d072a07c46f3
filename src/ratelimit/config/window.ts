/** When a limit begins anew: after a span of time, or with a calendar's period. */
import { type Calendar, calendarOf } from '../../counting/calendar.ts';
import { secondsOf, Unit } from '../call.ts';

export type Window = Calendar;

/** The windows of a unit. */
export const windowOf = (unit: Unit, isCalendarMonth = false): Window =>
  isCalendarMonth && unit === Unit.MONTH ? CALENDAR_MONTH : spanWindow(secondsOf(unit));

const CALENDAR_MONTH = calendarOf('month', 'UTC');

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
