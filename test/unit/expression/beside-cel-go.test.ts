/** Where the language definition leaves room, or cel-go does otherwise: docs/expressions.md has the differences. */
import { describe, expect, test } from 'vitest';
import { FAILED } from '../../../src/expression/index.ts';
import { parseTimestamp } from '../../../src/attributes/time-text.ts';
import { problemsOf, valueOf } from './attributes-of-tests.ts';

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

describe('as cel-go does', () => {
  test.each([
    ['[,].size() + {,}.size()', 0],
    ['type(ip("10.0.0.1")) == net.IP && type(cidr("10.0.0.0/8")) == net.CIDR', true],
    ['-dyn(duration("1s")) == duration("-1s")', true],
    ['dyn(optional.of(1)).hasValue() && !dyn(optional.none()).hasValue()', true],
    ['dyn(optional.of(1)).or(optional.of(2)).value() + dyn(optional.none()).orValue(1) == 2', true],
    ['optional.of(2).or(optional.of(dyn(3))).value() == 2', true],
    ['type(optional.of(2).or(optional.of(dyn(3))).value()) == int', true],
    ['{1: "a"}[dyn(1.0)] + {1u: "b"}[dyn(1)]', 'ab'],
    ['{1: "a"}[?dyn(1.5)].hasValue()', false],
    ['[1].transformMapEntry(i, v, dyn({"a": v})).a == 1', true],
    ['optional.ofNonZeroValue(dyn(0u)).hasValue() || optional.ofNonZeroValue(duration("0s")).hasValue()', false],
    ['optional.ofNonZeroValue(-0.0).hasValue() || optional.ofNonZeroValue(dyn(0)).hasValue()', false],
    ['timestamp("2023-01-01T00:00:00.1234567899Z") == timestamp("2023-01-01T00:00:00.123456789Z")', true],
    ['"a\u{1f600}b".replace("", "-")', '-a-\u{1f600}-b-'],
    ['"a\u{1f600}b".replace("", "-", 2)', '-a-\u{1f600}b'],
    ['"ab".replace("", "-", 3)', '-a-b-'],
    ['1.0 / double(duration("-1s").getHours() + duration("-1s").getMinutes())', Infinity],
    ['1.0 / double(duration("-1ns").getMilliseconds())', Infinity],
    ['"a".matches("^a{000}$") || !"a{01,02}".matches("^a{01,02}$")', false],
    ['"".replace("", "-") + "".replace("", "-", 0)', '-'],
    ['"%.1f %.1e %.100f".format([-0.0, -0.0, 1]).size()', '-0.0 -0.0e+00 '.length + 102],
    ['"%.1f %.1e".format([-0.0, -0.0])', '-0.0 -0.0e+00'],
  ])('%s', (expression, expected) => {
    expect(valueOf(expression)).toEqual(expected);
  });

  /** A failure that was read as no, as absent, or as some value. */
  test.each([
    'dyn([1]) >= 1.0 || request.path == ""',
    '"a" in [?dyn(request.path)] || request.path == ""',
    '{?"a": dyn(request.path)}.size() == 0',
    'dyn([1]).?a.hasValue() || request.path == ""',
    'dyn([1])[?dyn(1.5)].hasValue() || request.path == ""',
    '{1: "a"}[?dyn(request.path)].hasValue()',
    '{dyn(b"a"): 1}.size() == 1 && request.path == "/1"',
    '[1].transformMapEntry(i, v, dyn([request.path])).size() == 0',
    'uint("+" + request.path.substring(1)) == 1u',
    'double(request.path.substring(1) + "e999") > 1.0',
    'dyn(request.path).hasValue()',
    'dyn(request.path).orValue("b") == "b"',
  ])('%s fails', (expression) => {
    expect(valueOf(expression, { 'request.path': '/1' })).toBe(FAILED);
  });

  test.each([
    ['[1][request.headers]', 'EXPRESSION_TYPE'],
    ['[1][[dyn(1)]]', 'EXPRESSION_TYPE'],
    ['![]', 'EXPRESSION_TYPE'],
    ['uint({"a": dyn(1)})', 'EXPRESSION_NO_OVERLOAD'],
    ['true + dyn(1)', 'EXPRESSION_NO_OVERLOAD'],
    ['{"a": dyn(1)} + dyn({})', 'EXPRESSION_NO_OVERLOAD'],
    ['1e309', 'EXPRESSION_SYNTAX'],
    ['-1e309', 'EXPRESSION_SYNTAX'],
    ['0X1f', 'EXPRESSION_SYNTAX'],
    ['rb"a"', 'EXPRESSION_SYNTAX'],
    ['[1].map(.x, x)', 'EXPRESSION_SYNTAX'],
    ['[,1]', 'EXPRESSION_SYNTAX'],
    ['[,,]', 'EXPRESSION_SYNTAX'],
    ['{,"a": 1}', 'EXPRESSION_SYNTAX'],
    ['request.headers.true', 'EXPRESSION_SYNTAX'],
    ['request.headers.?in', 'EXPRESSION_SYNTAX'],
    ['uint("+1")', 'EXPRESSION_CONSTANT'],
    ['double("-1e400")', 'EXPRESSION_CONSTANT'],
  ])('%s is refused when it is loaded', (expression, code) => {
    expect(problemsOf(expression)[0]).toMatch(new RegExp(`^${code} `));
  });
});

test('a method of optional values on another value is named as such', () => {
  expect(problemsOf('request.path.orValue("a")')).toEqual([
    'EXPRESSION_UNKNOWN_FUNCTION 0-25 orValue() is a method of optional values, such as a.?b or map[?"key"]',
  ]);
});
