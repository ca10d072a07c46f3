/**
 * Periods of a calendar: midnight to midnight in a time zone, weeks from Monday, months as they are long. They follow each other
 * without gaps, and none is empty, however the clocks of the zone are set.
 * **In**: a time. **Out**: the period that holds it. **Fails**: never; a zone is checked when it is read ({@link isZone}).
 */
import { DateTime, IANAZone } from 'luxon';

export interface WindowAt {
  readonly startS: number;
  readonly endsAtS: number;
}

export const CALENDAR = ['day', 'week', 'month', 'year'] as const;
export type CalendarPeriod = (typeof CALENDAR)[number];
const ABOUT_S: Readonly<Record<CalendarPeriod, number>> = {
  day: 86_400,
  week: 7 * 86_400,
  month: 31 * 86_400,
  year: 366 * 86_400,
};

export interface Calendar {
  /** About: months differ, and days that a clock is set in. */
  readonly lengthS: number;
  /** Seconds since 1970. */
  at(nowS: number): WindowAt;
}

/** Of the IANA database: `Europe/Amsterdam`. */
export const isZone = (name: string): boolean => IANAZone.isValidZone(name);

/** A day of a calendar, without a time zone. */
interface Day {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

export function calendarOf(period: CalendarPeriod, zone: string): Calendar {
  const iana = IANAZone.create(zone);
  const beginOf = (day: DateTime): number => firstInstantOf(day, iana);
  /** Those asked for last: now's, and for a sliding limit the one before. */
  let known: readonly WindowAt[] = [];
  return {
    lengthS: ABOUT_S[period],
    at(nowS) {
      const found = known.find(({ startS, endsAtS }) => nowS >= startS && nowS < endsAtS);
      if (found !== undefined) return found;
      const { year, month, day } = DateTime.fromSeconds(nowS, { zone: iana });
      let first = DateTime.utc(year, month, day).startOf(period);
      let next = first.plus({ [period]: 1 });
      // A clock may be set back over midnight, and a day may be skipped: the periods between first instants still follow each other.
      for (; beginOf(next) <= nowS; next = next.plus({ [period]: 1 })) first = next;
      while (beginOf(first) > nowS) [first, next] = [first.minus({ [period]: 1 }), first];
      const window = { startS: beginOf(first), endsAtS: beginOf(next) };
      known = [window, ...known.slice(0, 1)];
      return window;
    },
  };
}

/** Farther from Greenwich no clock goes. */
const FARTHEST_S = 15 * 3600;

/** When a day begins, in seconds since 1970: at its first midnight, or where the clock skips that, at the first second after. */
function firstInstantOf({ year, month, day }: Day, zone: IANAZone): number {
  const offsetS = (atS: number): number => zone.offset(atS * 1000) * 60;
  const midnightS = Date.UTC(year, month - 1, day) / 1000;
  let [beforeS, afterS] = [midnightS - FARTHEST_S, midnightS + FARTHEST_S];
  const [old, set] = [offsetS(beforeS), offsetS(afterS)];
  if (old === set) return midnightS - old;
  while (afterS - beforeS > 1) {
    const middleS = Math.floor((beforeS + afterS) / 2);
    if (offsetS(middleS) === old) beforeS = middleS;
    else afterS = middleS;
  }
  if (midnightS - old < afterS) return midnightS - old; // the clock was set after midnight, perhaps to before it
  return Math.max(afterS, midnightS - set);
}
