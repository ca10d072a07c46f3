/** A written name is compared with few of many known ones, so that as many wrong names as known ones cost no n² of it. */
import { expect, test } from 'vitest';
import { nearestOf } from '../../../src/expression/check/nearest.ts';
import { comparable, meant, nearest } from '../../../src/text/nearest.ts';

const names = Array.from({ length: 10_000 }, (_, at) => `my.handler_${at}`);

test('at most 400 are compared, among them those that begin or end alike', () => {
  const compared = comparable('my.handelr_4711', names);
  expect(compared.length).toBeLessThanOrEqual(400);
  expect(compared).toContain('my.handler_11');
  expect(
    comparable(
      'x4711',
      names.map((name) => name.slice(10)),
    ),
  ).toContain('_4711');
});

test('a near one is found', () => {
  const known = Array.from({ length: 10_000 }, (_, at) => `${at.toString(36)}-service-${at % 7}`).concat('payments');
  expect(nearest('paymets', known)).toBe('payments');
  expect(nearest('Payments', known)).toBe('payments');
  expect(
    nearestOf(
      'my.paymets',
      known.map((name) => `my.${name}`),
    ),
  ).toEqual(['my.payments']);
  expect(nearest('nothing-like-it', known)).toBe(undefined);
  expect(meant('nothing-like-it', known)).toBe('');
});

test.each(['abcd', 'acbd', 'bacd', 'abc', 'abcde', 'xbcd', 'abdc'])('abcd is near %s, by one edit', (other) => {
  expect(nearest('abcd', [other])).toBe(other);
});
