import { expect, test } from 'vitest';
import { parseCidr, parseIp } from '../../../src/attributes/network.ts';
import { parseDuration, parseTimestamp } from '../../../src/attributes/time-text.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { shownAttribute, shownValue } from '../../../src/cli/shown-value.ts';

const attribute = (name: string) => {
  const row = VOCABULARY.find((one) => one.name === name);
  if (row === undefined) throw new Error(`no attribute ${name}`);
  return row;
};

test('every kind of value is shown as people write it', () => {
  const values: [Value | undefined, unknown][] = [
    [parseIp('::ffff:192.0.2.1'), '192.0.2.1'], [parseCidr('10.0.0.0/8'), '10.0.0.0/8'], [parseDuration('1500ms'), '1.5s'],
    [parseTimestamp('2026-01-02T03:04:05Z'), '2026-01-02T03:04:05Z'], [2n ** 60n, '1152921504606846976'], [['a', 1, null], ['a', 1, null]],
    [new Map<Value, Value>([['k', new Map<Value, Value>([[1, true]])]]), { k: { 1: true } }],
  ];
  for (const [value, shown] of values) expect(shownValue(value ?? 'not parsed')).toEqual(shown);
});

test('what is secret is not shown: whole attributes, and headers within the map of headers', () => {
  expect(shownAttribute(attribute('request.api_key'), 'abc')).toBe('(secret)');
  const headers = new Map<Value, Value>([['authorization', 'Bearer x'], ['cookie', 'a=b'], ['x-user', 'ann']]);
  expect(shownAttribute(attribute('request.headers'), headers)).toEqual({ authorization: '(secret)', cookie: '(secret)', 'x-user': 'ann' });
  expect(shownAttribute(attribute('request.path'), undefined)).toBeNull();
});
