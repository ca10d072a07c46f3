/** When a limit begins anew: after a span of time, or with a calendar's period. */
import type { Calendar } from '../../core/rules/calendar.ts';

export type Window = Calendar;

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
