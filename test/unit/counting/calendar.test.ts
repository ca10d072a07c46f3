/** Periods of a calendar in zones whose clocks are set at midnight, set back over it, or skip a day. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CALENDAR, calendarOf } from '../../../src/counting/calendar.ts';

const atS = (iso: string): number => Date.parse(iso) / 1000;
const HOUR = 3600;

test.each([
  // zone, a time within, where the day begins and ends, in UTC
  ['America/Sao_Paulo', '2018-11-04T12:00:00Z', '2018-11-04T03:00:00Z', '2018-11-05T02:00:00Z'], // midnight is skipped
  ['America/Sao_Paulo', '2018-02-18T02:30:00Z', '2018-02-17T02:00:00Z', '2018-02-18T03:00:00Z'], // at midnight it is 23:00 again
  ['Africa/Cairo', '2023-04-28T09:00:00Z', '2023-04-27T22:00:00Z', '2023-04-28T21:00:00Z'], // midnight is skipped
  ['Africa/Cairo', '2023-10-26T21:30:00Z', '2023-10-25T21:00:00Z', '2023-10-26T22:00:00Z'],
  ['Asia/Beirut', '2022-03-27T09:00:00Z', '2022-03-26T22:00:00Z', '2022-03-27T21:00:00Z'],
  ['America/Havana', '2023-11-05T05:30:00Z', '2023-11-05T04:00:00Z', '2023-11-06T05:00:00Z'], // there are two midnights
  ['America/St_Johns', '2010-11-07T02:45:00Z', '2010-11-07T02:30:00Z', '2010-11-08T03:30:00Z'], // a minute after midnight it is 23:01 again
  ['Pacific/Apia', '2011-12-30T12:00:00Z', '2011-12-30T10:00:00Z', '2011-12-31T10:00:00Z'], // the 30th never was
  ['Pacific/Apia', '2011-12-30T09:00:00Z', '2011-12-29T10:00:00Z', '2011-12-30T10:00:00Z'],
  ['Europe/Amsterdam', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'],
])('%s, the day of %s', (zone, now, begins, ends) => {
  expect(calendarOf('day', zone).at(atS(now))).toEqual({ startS: atS(begins), endsAtS: atS(ends) });
});

test('weeks begin on Mondays, months and years with their first day', () => {
  expect(calendarOf('week', 'UTC').at(atS('2026-11-29T12:00:00Z'))).toEqual({
    startS: atS('2026-11-23T00:00:00Z'),
    endsAtS: atS('2026-11-30T00:00:00Z'),
  });
  expect(calendarOf('month', 'Europe/Amsterdam').at(atS('2026-10-31T23:30:00Z'))).toEqual({
    startS: atS('2026-10-31T23:00:00Z'),
    endsAtS: atS('2026-11-30T23:00:00Z'),
  });
  expect(calendarOf('year', 'Pacific/Apia').at(atS('2011-12-30T12:00:00Z'))).toEqual({
    startS: atS('2011-01-01T11:00:00Z') - HOUR,
    endsAtS: atS('2011-12-31T10:00:00Z'),
  });
});

const ZONES = [
  'America/Sao_Paulo',
  'Africa/Cairo',
  'Asia/Beirut',
  'America/Havana',
  'America/St_Johns',
  'Pacific/Apia',
  'Asia/Gaza',
  'America/Asuncion',
  'Atlantic/Azores',
  'Africa/Casablanca',
  'Asia/Tehran',
  'Antarctica/Troll',
];

test('every period holds its time, none is empty, and each begins where the one before ends', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...ZONES),
      fc.constantFrom(...CALENDAR),
      fc.integer({ min: atS('2005-01-01T00:00:00Z'), max: atS('2030-01-01T00:00:00Z') }),
      (zone, period, nowS) => {
        const { startS, endsAtS } = calendarOf(period, zone).at(nowS);
        expect(startS <= nowS && nowS < endsAtS, `${zone} ${period} ${nowS}: ${startS} to ${endsAtS}`).toBe(true);
        expect(calendarOf(period, zone).at(endsAtS).startS).toBe(endsAtS);
        expect(calendarOf(period, zone).at(endsAtS - 1)).toEqual({ startS, endsAtS });
        expect(calendarOf(period, zone).at(startS)).toEqual({ startS, endsAtS });
      },
    ),
    { numRuns: 400 },
  );
}, 60_000);

test('all of a day and a half around each setting of a clock at midnight', () => {
  for (const [zone, day] of [
    ['America/Sao_Paulo', '2018-02-17'],
    ['America/St_Johns', '2010-11-06'],
    ['America/Havana', '2023-11-05'],
    ['Pacific/Apia', '2011-12-29'],
  ] as const) {
    const calendar = calendarOf('day', zone);
    let last = calendar.at(atS(`${day}T12:00:00Z`));
    for (let nowS = atS(`${day}T12:00:00Z`); nowS < atS(`${day}T12:00:00Z`) + 36 * HOUR; nowS += 300) {
      const window = calendar.at(nowS);
      if (window.startS !== last.startS) expect(window.startS, zone).toBe(last.endsAtS);
      last = window;
    }
  }
});
