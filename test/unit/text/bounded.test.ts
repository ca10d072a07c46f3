/** Messages hold names of any length and of any characters; a person reads them on one line. */
import { expect, test } from 'vitest';
import { bounded } from '../../../src/text/bounded.ts';

test('an ordinary message stays as it is', () => {
  const message = `the handler x is declared at /${'folder/'.repeat(20)}p.yaml:1:2, too; rename or remove one – “é” 🙂`;
  expect(bounded(message)).toBe(message);
});

test('of a long word and of a long text the middle is left out', () => {
  const word = bounded(`no key ${'a'.repeat(30_000)}b; did you mean match?`);
  expect(word).toMatch(/^no key a+\.\.\.a+b; did you mean match\?$/);
  expect(word.length).toBeLessThan(240);
  const text = bounded(`no key ${'a '.repeat(30_000)}; remove it`);
  expect(text).toHaveLength(2000);
  expect(text).toMatch(/^no key a .*a ; remove it$/);
});

test('no half of a pair is left', () => {
  for (let at = 0; at < 4; at++) expect(bounded(`${'-'.repeat(at)}${'🙂'.repeat(500)}`).isWellFormed()).toBe(true);
});

test('control characters and marks of direction are escapes', () => {
  expect(bounded('a\nb\tc\u001b[2J\u202ed\u2028')).toBe(String.raw`a\nb\tc\u001b[2J\u202ed\u2028`);
});
