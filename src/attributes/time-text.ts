/** Timestamps and durations as text: RFC 3339 and CEL's durations (`1h30m`, `1.5s`), exact to the nanosecond. */
import { goDurationNanos } from '../time/duration.ts';
import { Duration, Timestamp } from './values.ts';

/** CEL's range: years 0001 to 9999. */
const FIRST_SECOND = -62_135_596_800;
const LAST_SECOND = 253_402_300_799;
/** CEL's range of durations: about 10 000 years (google.protobuf.Duration). */
const MAX_SECONDS = 315_576_000_000;

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/** Parses RFC 3339, without what is below a nanosecond; `undefined` for other text, and for years other than 0001 to 9999. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match.map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59)
    return undefined;
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (offsetHour > 23 || offsetMinute > 59) return undefined;
  const offsetMinutes = (match[8] === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const seconds = date.getTime() / 1000 - offsetMinutes * 60;
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) return undefined;
  return new Timestamp(seconds, Number((match[7] ?? '').slice(0, 9).padEnd(9, '0')));
}

const daysIn = (year: number, month: number): number => {
  const date = new Date(0);
  date.setUTCFullYear(year, month, 0);
  return date.getUTCDate();
};

/** RFC 3339 in UTC, without trailing zeros of the fraction. */
export function formatTimestamp(timestamp: Timestamp): string {
  return `${new Date(timestamp.seconds * 1000).toISOString().slice(0, -5)}${fraction(timestamp.nanos)}Z`;
}

/** Parses CEL's form, which is Go's: `1h30m`, `-1.5s`, `100ms`, `0`; `undefined` for other text and out of range. */
export function parseDuration(text: string): Duration | undefined {
  const nanos = goDurationNanos(text);
  if (nanos === undefined) return undefined;
  const seconds = Number(nanos / 1_000_000_000n);
  return Math.abs(seconds) > MAX_SECONDS ? undefined : new Duration(seconds, Number(nanos % 1_000_000_000n));
}

/** `1.5s`, as in protobuf's JSON. */
export function formatDuration(duration: Duration): string {
  const sign = duration.seconds < 0 || duration.nanos < 0 ? '-' : '';
  return `${sign}${Math.abs(duration.seconds)}${fraction(Math.abs(duration.nanos))}s`;
}

const fraction = (nanos: number): string =>
  nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
