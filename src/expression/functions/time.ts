/** Arithmetic and parts of timestamps and durations (cel-spec, "Timestamps and durations"). */
import { DURATION, INT, STRING, TIMESTAMP } from '../../attributes/types.ts';
import { Duration, Timestamp } from '../../attributes/values.ts';
import { type Overload, method } from './overload.ts';

const BILLION = 1_000_000_000;

export function addSpan(time: Timestamp, span: Duration, sign: 1 | -1 = 1): Timestamp | undefined {
  let seconds = time.seconds + sign * span.seconds;
  let nanos = time.nanos + sign * span.nanos;
  if (nanos >= BILLION) {
    seconds += 1;
    nanos -= BILLION;
  }
  if (nanos < 0) {
    seconds -= 1;
    nanos += BILLION;
  }
  return seconds < -62_135_596_800 || seconds > 253_402_300_799 ? undefined : new Timestamp(seconds, nanos);
}

const spanOf = (nanos: bigint): Duration | undefined => {
  if (nanos > 0x7fff_ffff_ffff_ffffn || nanos < -0x8000_0000_0000_0000n) return undefined;
  return new Duration(Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n));
};
const nanosOf = ({ seconds, nanos }: { readonly seconds: number; readonly nanos: number }): bigint =>
  BigInt(seconds) * 1_000_000_000n + BigInt(nanos);

export const addSpans = (a: Duration, b: Duration): Duration | undefined => spanOf(nanosOf(a) + nanosOf(b));
export const subtractSpans = (a: Duration, b: Duration): Duration | undefined => spanOf(nanosOf(a) - nanosOf(b));
export const between = (a: Timestamp, b: Timestamp): Duration | undefined => spanOf(nanosOf(a) - nanosOf(b));

/** The calendar repeats after 400 years; zones had their local mean time in all of these. */
const CYCLES_S = 4 * 146_097 * 86_400;
const YEAR_100_S = -59_011_459_200;

/** The wall-clock time of a zone, as a Date whose UTC fields show it. A zone is a name, or an offset such as `+05:30`. */
function wallClock(time: Timestamp, zone: string): Date | undefined {
  const offset = /^([+-]?)([01]?\d|2[0-3]):([0-5]\d)$/.exec(zone);
  if (offset !== null)
    return new Date(
      time.seconds * 1000 + (offset[1] === '-' ? -1 : 1) * (Number(offset[2]) * 60 + Number(offset[3])) * 60_000,
    );
  if (zone === 'UTC' || zone === '') return new Date(time.seconds * 1000);
  const format = formatOf(zone);
  if (format === undefined) return undefined;
  // Date.UTC takes the years 0 to 99 for 1900 to 1999, and formats have no year 0.
  const shiftMs = time.seconds < YEAR_100_S ? CYCLES_S * 1000 : 0;
  const parts = Object.fromEntries(
    format.formatToParts(new Date(time.seconds * 1000 + shiftMs)).map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 1, day, hour, minute, second } = parts;
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second) - shiftMs);
}

const formats = new Map<string, Intl.DateTimeFormat | undefined>();
function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  if (!/^[A-Za-z]/.test(zone)) return undefined; // `-02`, which CEL does not have
  if (!formats.has(zone) && formats.size < 1000) {
    try {
      formats.set(
        zone,
        new Intl.DateTimeFormat('en-US', {
          timeZone: zone,
          hourCycle: 'h23',
          year: 'numeric',
          month: 'numeric',
          day: 'numeric',
          hour: 'numeric',
          minute: 'numeric',
          second: 'numeric',
        }),
      );
    } catch {
      formats.set(zone, undefined);
    }
  }
  return formats.get(zone);
}

function dayOfYear(date: Date): number {
  const first = new Date(date);
  first.setUTCMonth(0, 1);
  return Math.round((date.getTime() - first.getTime()) / 86_400_000);
}

const PARTS: Readonly<Record<string, (date: Date, time: Timestamp) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: dayOfYear,
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (_, time) => Math.floor(time.nanos / 1e6),
};

/** Not -0, which an int does not have. */
const whole = (value: number): number => Math.trunc(value) + 0;

export const TIME_FUNCTIONS: readonly Overload[] = [
  ...Object.entries(PARTS).flatMap(([name, part]) => [
    method(name, [TIMESTAMP], INT, (time: Timestamp) => part(new Date(time.seconds * 1000), time)),
    method(
      name,
      [TIMESTAMP, STRING],
      INT,
      (time: Timestamp, zone: string) => {
        const date = wallClock(time, zone);
        return date === undefined ? undefined : part(date, time);
      },
      {
        checkConstant: ([, zone]) =>
          typeof zone === 'string' && wallClock(new Timestamp(0, 0), zone) === undefined
            ? `${JSON.stringify(zone)} is not a time zone, such as "Europe/Berlin" or "+01:00"`
            : undefined,
      },
    ),
  ]),
  method('getHours', [DURATION], INT, (span: Duration) => whole(span.seconds / 3600)),
  method('getMinutes', [DURATION], INT, (span: Duration) => whole(span.seconds / 60)),
  method('getSeconds', [DURATION], INT, (span: Duration) => span.seconds),
  method('getMilliseconds', [DURATION], INT, (span: Duration) => whole(span.nanos / 1e6)),
];
