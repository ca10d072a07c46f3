/** Functions and numbers that the tests of cel-spec do not cover. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIp } from '../../../src/attributes/network.ts';
import { FAILED, compile } from '../../../src/expression/index.ts';
import * as search from '../../../src/expression/functions/search.ts';
import { ATTRIBUTES, bagOf, compiled, valueOf } from './attributes-of-tests.ts';

const origin = (text: string): { 'origin.ip': NonNullable<ReturnType<typeof parseIp>> } => {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(text);
  return { 'origin.ip': ip };
};

describe('patterns', () => {
  test('are matched in linear time', () => {
    const values = { 'request.path': `${'a'.repeat(50_000)}!` };
    const before = process.cpuUsage();
    expect(valueOf('request.path.matches("^(a+)+$")', values)).toBe(false);
    expect(valueOf('request.path.matches(request.path + "(x+x+)+y")', { 'request.path': 'x'.repeat(300) })).toBe(false);
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000);
  });

  test('match anywhere, as in RE2; an invalid pattern of the request fails the evaluation', () => {
    expect(valueOf('"abc".matches("b")')).toBe(true);
    expect(valueOf('"abc".matches("^b")')).toBe(false);
    expect(valueOf('"abc".matches(request.path)', { 'request.path': '(' })).toBe(FAILED);
  });
});

describe('addresses', () => {
  const inOffices = '["10.0.0.0/8", "fd00::/8"].exists(n, cidr(n).containsIP(origin.ip))';
  test.each([
    ['10.1.2.3', true],
    ['11.0.0.1', false],
    ['fd12::1', true],
    ['::1', false],
  ])('%s', (address, expected) => {
    expect(valueOf(inOffices, origin(address))).toBe(expected);
  });

  test.each([
    ['YQ', true],
    ['YQ==', true],
    ['YWJj', true],
    ['', true],
    ['YQ=', false],
    ['YWJj=', false],
    ['YWJj==', false],
    ['YQ===', false],
    ['=', false],
    ['Y', false],
  ])('base64 %j decodes: %s', (text, isRight) => {
    expect(valueOf('size(base64.decode(request.host)) >= 0', { 'request.host': text })).toBe(isRight || FAILED);
  });

  test('a limit of replace may be any int', () => {
    const values = { 'request.host': 'ab', 'request.size': 9_223_372_036_854_775_807n };
    expect(valueOf('request.host.replace("", "-", request.size)', values)).toBe('-a-b-');
    expect(valueOf('request.host.replace("a", "x", request.size)', values)).toBe('xb');
    expect(valueOf('request.host.replace("", "-", -request.size)', values)).toBe('-a-b-');
  });

  test('compares and describes addresses', () => {
    expect(valueOf('origin.ip == ip("192.0.2.1")', origin('192.0.2.1'))).toBe(true);
    expect(valueOf('origin.ip.family()', origin('fd00::1'))).toBe(6);
    expect(valueOf('origin.ip.isLoopback()', origin('127.3.0.1'))).toBe(true);
    expect(valueOf('string(cidr("10.1.2.3/8").masked())')).toBe('10.0.0.0/8');
    expect(valueOf('cidr("10.0.0.0/8").containsCIDR("10.2.0.0/16")')).toBe(true);
    expect(valueOf('isIP(request.host)', { 'request.host': 'shop' })).toBe(false);
  });
});

describe('numbers', () => {
  test('ints are exact to 64 bits and fail beyond', () => {
    expect(valueOf('request.size * 3', { 'request.size': 9_007_199_254_740_991 })).toBe(27_021_597_764_222_973n);
    expect(valueOf('request.size - request.size + 1', { 'request.size': 9_223_372_036_854_775_807n })).toBe(1);
    expect(valueOf('request.size + 1', { 'request.size': 9_223_372_036_854_775_807n })).toBe(FAILED);
    expect(valueOf('1 / request.size', { 'request.size': 0 })).toBe(FAILED);
    expect(valueOf('-7 / 2 == -3 && -7 % 2 == -1')).toBe(true);
  });

  test.each([
    ['request.size == 9007199254740992.0', false],
    ['request.size != 9007199254740992.0', true],
    ['request.size > 9007199254740992.0', true],
    ['request.size <= 9007199254740992.0', false],
    ['request.size > 9007199254740992u', true],
    ['request.size in [9007199254740992.0]', false],
    ['request.size in [9007199254740992.0, dyn(9007199254740993)]', true],
    ['9007199254740993 in [9007199254740992.0]', false],
    ['dyn(request.size) == 9007199254740992.0', false],
    ['dyn(request.size) > dyn(9007199254740992.0)', true],
    ['[request.size] == [9007199254740992.0]', false],
    ['{"a": dyn(request.size)} == {"a": dyn(9007199254740992.0)}', false],
    ['math.greatest(request.size, 9007199254740992.0) == request.size', true],
    ['9223372036854775807 < 9223372036854775808.0', true],
    ['uint(request.size) == 9007199254740992.0', false],
    ['request.size - 1 == 9007199254740992.0', true],
    ['double(request.size) == 9007199254740992.0', true],
    ['9007199254740992.0 in {9007199254740992: "a"}', true],
    ['9007199254740992.0 in {9007199254740993: "a"}', false],
    ['request.size < double("NaN")', false],
    ['request.size == double("NaN")', false],
    ['request.size < double("Infinity")', true],
  ])('int, uint and double are compared by their exact values: %s', (source, expected) => {
    for (const backEnd of ['generated', 'closures'] as const) {
      expect(compiled(source, { backEnd }).evaluate(bagOf({ 'request.size': 9_007_199_254_740_993n }))).toBe(expected);
    }
  });
});

describe('optionals and lists', () => {
  test.each([
    ['my.list[?9].orValue(1)', 1],
    ['my.list[0] + my.list[2]', 4],
    ['optional.of(null).orValue(null) == null', true],
    ['[1, ?optional.none(), 2].size()', 2],
    ['{?"a": optional.none(), "b": 1}.size()', 1],
    ['my.list.filter(n, n > 1) == [2, 3]', true],
    ['my.list.map(n, n * 2).exists(n, n == 6)', true],
    ['[dyn(1), dyn("a")].size()', 2],
    ['dyn(my.list)[1] + 1 == 3', true],
    ['my.list + [] == my.list', true],
  ])('%s', (source, expected) => {
    expect(valueOf(source, { 'my.list': [1, 2, 3] })).toBe(expected);
  });

  test('values of dyn are converted to the expected type', () => {
    const { compiled: list, problems } = compile('[dyn(1), dyn(2)]', ATTRIBUTES, {
      expect: { kind: 'list', of: { kind: 'int' } },
    });
    expect(problems).toEqual([]);
    expect(list?.evaluate(bagOf({}))).toEqual([1, 2]);
    expect(
      compile('[dyn("a")]', ATTRIBUTES, { expect: { kind: 'list', of: { kind: 'int' } } }).compiled?.evaluate(
        bagOf({}),
      ),
    ).toBe(FAILED);
  });

  test('an evaluation leaves nothing behind for the next one', () => {
    const one = compiled('my.list.exists(n, n == request.size)');
    expect(one.evaluate(bagOf({ 'my.list': [1, 2], 'request.size': 2 }))).toBe(true);
    expect(one.evaluate(bagOf({ 'my.list': [1], 'request.size': 2 }))).toBe(false);
    expect(one.evaluate(bagOf({ 'request.size': 2 }))).toBe(FAILED);
  });
});

test('text is ordered by code points, not by UTF-16 units', () => {
  expect(valueOf('"\\uffee" < "\\U0001f600"')).toBe(true);
  expect(valueOf('my.tenant.plan < "\\U0001f600"', { 'my.tenant.plan': '\uffee' })).toBe(true);
});

describe('format()', () => {
  test.each([
    ['"%.0f %.0f %.0f".format([0.5, 1.5, 2.5])', '0 2 2'],
    ['"%.2f".format([-1.005])', '-1.00'],
    ['"%.1f".format([0.25])', '0.2'],
    ['"%.1f".format([0.35])', '0.3'],
    ['"%f".format([1e22])', '10000000000000000000000.000000'],
    ['"%.0e".format([2.5])', '2e+00'],
    ['"%f".format([3])', '3.000000'],
    ['"%x %X %b %o".format([-30, b"\\xff", -5, 8u])', '-1e FF -101 10'],
    ['"%s".format([ip("::1")])', '::1'],
  ])('%s', (source, text) => {
    expect(valueOf(source)).toBe(text);
  });
});

describe('a search takes linear time, whatever a client sends', () => {
  // In the square of the length, each of these takes longer than a test may.
  const [long, part] = ['a'.repeat(400_000), `${'a'.repeat(100_000)}b${'a'.repeat(100_000)}`];
  const digits = '1'.repeat(100_000);
  test.each<readonly [string, string, string, ReturnType<typeof valueOf>]>([
    ['request.body.contains(request.host)', long, part, false],
    ['request.body.indexOf(request.host)', long, part, -1],
    ['request.body.lastIndexOf(request.host)', long, part, -1],
    ['request.body.split(request.host).size()', long, part, 1],
    ['request.body.replace(request.host, "").size()', long, part, 400_000],
    ['double(request.body) > 1.0', `${digits}x`, '', FAILED],
    ['int(request.body) > 1', digits, '', FAILED],
    ['duration(request.body) > duration("1s")', `${digits}x`, '', FAILED],
  ])('%s', (source, body, host, expected) => {
    expect(valueOf(source, { 'request.body': body, 'request.host': host })).toBe(expected);
  });

  test('long and short substrings are found alike', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 65, maxLength: 90 });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), text, fc.integer({ min: 0, max: 40 }), (parts, part, from) => {
        const all = parts.join(part) + part.slice(from) + part;
        expect(search.indexOf(all, part, from)).toBe(all.indexOf(part, from));
        expect(search.lastIndexOf(all, part)).toBe(all.lastIndexOf(part));
        expect(search.contains(all, part)).toBe(all.includes(part));
        const values = { 'request.body': all, 'request.host': part };
        expect(valueOf('request.body.split(request.host)', values)).toEqual(all.split(part));
        expect(valueOf('request.body.replace(request.host, "-")', values)).toBe(all.replaceAll(part, '-'));
        expect(valueOf('request.body.replace(request.host, "-", 1)', values)).toBe(all.replace(part, '-'));
      }),
      { numRuns: 300 },
    );
  });
});

test.each([
  ['"ab".replace("", "-")', '-a-b-'],
  ['"ab".replace("", "-", 2)', '-a-b'],
  ['"ab".replace("", "-", 0)', 'ab'],
  ['"aaa".replace("a", "$&", 2)', '$&$&a'],
  ['"aaa".replace("a", "b", 0)', 'aaa'],
  ['request.host.replace("", "-")', '-a-b-'],
  ['request.host.replace("b", "bb", -1)', 'abb'],
])('%s', (source, text) => {
  expect(valueOf(source, { 'request.host': 'ab' })).toBe(text);
});

test('whole numbers may have leading zeros and are at most 64 bits', () => {
  expect(valueOf('int(request.host)', { 'request.host': '-0000000000000000000000000000007' })).toBe(-7);
  expect(valueOf('int(request.host)', { 'request.host': '+9223372036854775807' })).toBe(9_223_372_036_854_775_807n);
  expect(valueOf('int(request.host)', { 'request.host': '9223372036854775808' })).toBe(FAILED);
  expect(valueOf('uint(request.host)', { 'request.host': '18446744073709551615' })).toBe(18_446_744_073_709_551_615n);
  expect(valueOf('uint(request.host)', { 'request.host': '-0' })).toBe(FAILED);
  expect(valueOf('int(request.host)', { 'request.host': '000' })).toBe(0);
});
