/**
 * Times in UTC by the formats of `%START_TIME(...)%`: strftime's conversions, and Envoy's `%3f`, `%6f`, `%9f` and `%s`.
 * **Fails**: for a conversion that is not known. Without a format: ISO 8601 with milliseconds, as Envoy writes it.
 */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const two = (value: number): string => String(value).padStart(2, '0');
const milliseconds = (time: Date): string => String(time.getUTCMilliseconds()).padStart(3, '0');

const CONVERSIONS: Readonly<Record<string, (time: Date) => string>> = {
  Y: (time) => String(time.getUTCFullYear()),
  y: (time) => two(time.getUTCFullYear() % 100),
  m: (time) => two(time.getUTCMonth() + 1),
  d: (time) => two(time.getUTCDate()),
  e: (time) => String(time.getUTCDate()).padStart(2, ' '),
  H: (time) => two(time.getUTCHours()),
  I: (time) => two(time.getUTCHours() % 12 || 12),
  p: (time) => (time.getUTCHours() < 12 ? 'AM' : 'PM'),
  M: (time) => two(time.getUTCMinutes()),
  S: (time) => two(time.getUTCSeconds()),
  F: (time) => time.toISOString().slice(0, 10),
  T: (time) => time.toISOString().slice(11, 19),
  a: (time) => (DAYS[time.getUTCDay()] ?? '').slice(0, 3),
  A: (time) => DAYS[time.getUTCDay()] ?? '',
  b: (time) => (MONTHS[time.getUTCMonth()] ?? '').slice(0, 3),
  B: (time) => MONTHS[time.getUTCMonth()] ?? '',
  z: () => '+0000',
  Z: () => 'UTC',
  s: (time) => String(Math.floor(time.getTime() / 1000)),
  '3f': milliseconds,
  '6f': (time) => `${milliseconds(time)}000`,
  '9f': (time) => `${milliseconds(time)}000000`,
  f: (time) => `${milliseconds(time)}000000`,
  '%': () => '%',
};

export function timeByFormat(format: string | undefined): (time: Date) => string {
  if (format === undefined || format === '') return (time) => time.toISOString();
  const parts = [...format.matchAll(/%(\df|.)?|[^%]+/g)].map(([text, name]) => {
    if (!text.startsWith('%')) return text;
    const conversion = Object.hasOwn(CONVERSIONS, name ?? '') ? CONVERSIONS[name ?? ''] : undefined;
    if (conversion === undefined)
      throw new Error(
        `the time format ${format}: ${text} is not known; known are ${Object.keys(CONVERSIONS)
          .map((one) => `%${one}`)
          .join(' ')}`,
      );
    return conversion;
  });
  return (time) => parts.map((part) => (typeof part === 'string' ? part : part(time))).join('');
}
