/** Windows of a limit: spans of time, or periods of a calendar. */
import { type Calendar, calendarOf } from '../../counting/calendar.ts';
import { spanWindow } from '../../counting/window.ts';
import { secondsOf, Unit } from '../call.ts';

export type Window = Calendar;

export const windowOf = (unit: Unit, isCalendarMonth = false): Window =>
  isCalendarMonth && unit === Unit.MONTH ? CALENDAR_MONTH : spanWindow(secondsOf(unit));

const CALENDAR_MONTH = calendarOf('month', 'UTC');
