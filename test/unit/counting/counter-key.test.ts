/** Names of counters in Redis. */
import { expect, test } from 'vitest';
import { counterKey } from '../../../src/counting/redis/counter-key.ts';

test('different counters and keys have different names of bounded length', () => {
  const fixed = (counter: string, key: string, perMs = 1000) =>
    counterKey('p:', { counter, algorithm: 'fixed' }, perMs, key);
  const places = [
    fixed('a', 'b:c'),
    fixed('a:b', 'c'),
    fixed('a%3Ab', 'c'),
    fixed('a', 'b%3Ac'),
    fixed('a', 'c', 2000),
    fixed('a', 'c'),
    counterKey('p:', { counter: 'a', algorithm: 'gcra' }, 1000, 'c'),
    fixed('a', '\ud800'),
    fixed('a', '\ud801'),
    fixed('a', '\ufffd'),
    fixed('a', '"\\ud800"'),
    fixed('a', ''),
    fixed('a', '='),
    fixed('a', 'x'.repeat(5000)),
    fixed('a', 'x'.repeat(5001)),
    fixed('a', fixed('a', 'x'.repeat(5000)).split(':').at(-1) ?? ''),
  ].map((place) => Buffer.from(place).toString('hex'));
  expect(new Set(places).size).toBe(places.length);
  expect(Math.max(...places.map(({ length }) => length / 2))).toBeLessThan(600);
});
