/**
 * Calendar periods: midnight to midnight in a time zone, weeks from Monday, calendar months. They are contiguous and never empty, also when
 * the zone's clock changes.
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
  /** Approximate: months differ, and days with a clock change. */
  readonly lengthS: number;
  /** Seconds since 1970. */
  at(nowS: number): WindowAt;
}

/** Whether a name is in the IANA database: `Europe/Amsterdam`. */
export const isZone = (name: string): boolean => IANAZone.isValidZone(name);

export function calendarOf(period: CalendarPeriod, zone: string): Calendar {
  const iana = IANAZone.create(zone);
  const beginOf = (day: DateTime): number => firstInstantOf(day, iana);
  /** Cache of the last two: the current period and, for a sliding limit, the previous one. */
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

/** No zone is farther from UTC. */
const FARTHEST_S = 15 * 3600;

/** Start of a day, given in UTC, in seconds since 1970: its first midnight, or the first second after if the clock skips midnight. */
function firstInstantOf(day: DateTime, zone: IANAZone): number {
  const offsetS = (atS: number): number => zone.offset(atS * 1000) * 60;
  const midnightS = day.toSeconds();
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
