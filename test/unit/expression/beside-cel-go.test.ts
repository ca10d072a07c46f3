/** Where the language definition leaves room, or cel-go does otherwise: docs/expressions.md has the differences. */
import { describe, expect, test } from 'vitest';
import { FAILED } from '../../../src/expression/index.ts';
import { parseTimestamp } from '../../../src/attributes/time-text.ts';
import { valueOf } from './attributes-of-tests.ts';

const at = (text: string): { readonly 'request.time': NonNullable<ReturnType<typeof parseTimestamp>> } => {
  const time = parseTimestamp(text);
  if (time === undefined) throw new Error(text);
  return { 'request.time': time };
};

describe('offsets into a text', () => {
  const values = { 'request.host': 'tacocat' };
  test.each([
    ['charAt(7)', ''],
    ['charAt(8)', FAILED],
    ['charAt(-1)', FAILED],
    ['charAt(9223372036854775807)', FAILED],
    ['substring(7)', ''],
    ['substring(8)', FAILED],
    ['substring(7, 7)', ''],
    ['substring(4, 8)', FAILED],
    ['substring(4, 3)', FAILED],
    ['substring(2, 9223372036854775807)', FAILED],
    ['indexOf("a", 7)', -1],
    ['indexOf("", 7)', 7],
    ['indexOf("a", 8)', FAILED],
    ['indexOf("", 8)', FAILED],
    ['indexOf("a", -1)', FAILED],
    ['lastIndexOf("a", 7)', 5],
    ['lastIndexOf("", 7)', 7],
    ['lastIndexOf("a", 8)', FAILED],
    ['lastIndexOf("", 8)', FAILED],
    ['lastIndexOf("a", -1)', FAILED],
  ])('%s', (call, expected) => {
    expect(valueOf(`request.host.${call}`, values)).toBe(expected);
  });
});

describe('times', () => {
  test.each([
    ['duration("1.234s").getMilliseconds()', 234],
    ['duration("-1.234s").getMilliseconds()', -234],
    ['duration("90m").getSeconds()', 5400],
    ['timestamp("1950-12-25T12:00:00.567Z").getMilliseconds()', 567],
    ['timestamp("1950-12-25T12:00:00.567Z").getMilliseconds("Europe/Berlin")', 567],
  ])('%s', (expression, expected) => {
    expect(valueOf(expression)).toBe(expected);
  });

  test.each([
    ['0050-03-01T12:00:00Z', 'getFullYear("Europe/Berlin")', 50],
    ['0050-03-01T12:00:00Z', 'getDayOfYear("Europe/Berlin")', 59],
    ['0099-12-31T23:30:00Z', 'getFullYear("Europe/Berlin")', 100],
    ['0001-01-01T00:00:00Z', 'getFullYear("America/New_York")', 0],
    ['0001-01-01T00:00:00Z', 'getMonth("America/New_York")', 11],
    ['0001-01-01T00:00:00Z', 'getDayOfYear("America/New_York")', 365], // year 0 is a leap year
    ['0001-01-01T00:00:00Z', 'getDayOfYear("-01:00")', 365],
    ['0001-01-01T00:00:00Z', 'getDayOfWeek()', 1],
    ['2024-12-31T12:00:00Z', 'getDayOfYear()', 365],
    ['2023-12-25T12:00:00Z', 'getHours("-2:00")', 10],
    ['2023-12-25T12:00:00Z', 'getMinutes("23:59")', 59],
    ['2023-12-25T12:00:00Z', 'getHours("Europe/Berlin")', 13],
  ])('%s %s', (time, call, expected) => {
    expect(valueOf(`request.time.${call}`, at(time))).toBe(expected);
  });

  test.each(['+24:00', '02:60', '-02', '+2', 'Mars/North', '1', '+01:00:00'])('no zone is %j', (zone) => {
    expect(
      valueOf('request.time.getHours(request.host)', { ...at('2023-12-25T12:00:00Z'), 'request.host': zone }),
    ).toBe(FAILED);
  });
});

test('the sign of a zero is 0.0, whatever its own', () => {
  expect([valueOf('1.0 / math.sign(-0.0)'), valueOf('1.0 / math.sign(0.0)')]).toEqual([Infinity, Infinity]);
  expect([valueOf('math.sign(-1.5)'), valueOf('math.sign(double("NaN"))')]).toEqual([-1, NaN]);
});

test('branches of two types have that of the branch taken', () => {
  const values = (path: string) => ({ 'request.path': path });
  const mixed = '(request.path == "/a" ? 1 : "a")';
  expect([valueOf(`${mixed} == 1`, values('/a')), valueOf(`${mixed} == 1`, values('/b'))]).toEqual([true, false]);
  expect(valueOf(`${mixed} + 1 == 2`, values('/a'))).toBe(true);
  expect(valueOf(`${mixed} + 1`, values('/b'))).toBe(FAILED);
});
