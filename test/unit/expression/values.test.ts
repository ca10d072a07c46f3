/** Functions and numbers beyond what cel-spec's own tests say. */
import { describe, expect, test } from 'vitest';
import { parseIp } from '../../../src/attributes/network.ts';
import { FAILED, compile } from '../../../src/expression/index.ts';
import { ATTRIBUTES, bagOf, compiled, valueOf } from './attributes-of-tests.ts';

const origin = (text: string): { 'origin.ip': NonNullable<ReturnType<typeof parseIp>> } => {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(text);
  return { 'origin.ip': ip };
};

describe('patterns', () => {
  test('are searched in linear time', () => {
    const values = { 'request.path': `${'a'.repeat(50_000)}!` };
    const before = performance.now();
    expect(valueOf('request.path.matches("^(a+)+$")', values)).toBe(false);
    expect(valueOf('request.path.matches(request.path + "(x+x+)+y")', { 'request.path': 'x'.repeat(300) })).toBe(false);
    expect(performance.now() - before).toBeLessThan(2000);
  });

  test('match anywhere, as RE2 does; a wrong one of the request fails', () => {
    expect(valueOf('"abc".matches("b")')).toBe(true);
    expect(valueOf('"abc".matches("^b")')).toBe(false);
    expect(valueOf('"abc".matches(request.path)', { 'request.path': '(' })).toBe(FAILED);
  });
});

describe('the network', () => {
  const inOffices = '["10.0.0.0/8", "fd00::/8"].exists(n, cidr(n).containsIP(origin.ip))';
  test.each([['10.1.2.3', true], ['11.0.0.1', false], ['fd12::1', true], ['::1', false]])('%s', (address, expected) => {
    expect(valueOf(inOffices, origin(address))).toBe(expected);
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

  test('beside a double an int is compared as a double, beside a uint exactly', () => {
    expect(valueOf('request.size == 9007199254740992.0', { 'request.size': 9_007_199_254_740_993n })).toBe(true);
    expect(valueOf('request.size > 9007199254740992.0', { 'request.size': 9_007_199_254_740_993n })).toBe(false);
    expect(valueOf('request.size > 9007199254740992u', { 'request.size': 9_007_199_254_740_993n })).toBe(true);
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

  test('values of dyn come in the form of the type that is wanted', () => {
    const { compiled: list, problems } = compile('[dyn(1), dyn(2)]', ATTRIBUTES, { expect: { kind: 'list', of: { kind: 'int' } } });
    expect(problems).toEqual([]);
    expect(list?.evaluate(bagOf({}))).toEqual([1, 2]);
    expect(compile('[dyn("a")]', ATTRIBUTES, { expect: { kind: 'list', of: { kind: 'int' } } }).compiled?.evaluate(bagOf({}))).toBe(FAILED);
  });

  test('an expression can be asked again, with another bag, and nothing is left of the first', () => {
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
    ['"%.0f %.0f %.0f".format([0.5, 1.5, 2.5])', '0 2 2'], ['"%.2f".format([-1.005])', '-1.00'], ['"%.1f".format([0.25])', '0.2'], ['"%.1f".format([0.35])', '0.3'],
    ['"%f".format([1e22])', '10000000000000000000000.000000'], ['"%.0e".format([2.5])', '2e+00'], ['"%f".format([3])', '3.000000'],
    ['"%x %X %b %o".format([-30, b"\\xff", -5, 8u])', '-1e FF -101 10'], ['"%s".format([ip("::1")])', '::1'],
  ])('%s', (source, text) => {
    expect(valueOf(source)).toBe(text);
  });
});
