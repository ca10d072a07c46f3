import { describe, expect, test } from 'vitest';
import { meant } from '../../../src/text/nearest.ts';

const MANY = Array.from({ length: 40 }, (_, at) => `setting${at}`);

describe('what a written name may mean', () => {
  test.each([
    ['a near one', 'limt', ['limit', 'burst'], '; did you mean limit?'],
    ['all, if few are known', 'jwksUri', ['url', 'keys'], '; known are url, keys'],
    ['none, if none is known', 'jwksUri', [], ''],
    ['of many those that share a word', 'max_body', [...MANY, 'maxKeysBytes'], '; known are maxKeysBytes ...'],
    ['of many none that shares no word', 'jwksUri', MANY, ''],
  ])('%s', (_, written, known, hint) => {
    expect(meant(written, known)).toBe(hint);
  });

  test('at most 24 of those that share a word', () => {
    const names = Array.from({ length: 40 }, (_, at) => `retry${'ab'.repeat(at + 4)}Max`);
    expect(meant('retry-max-count', names).split(', ')).toHaveLength(24);
    expect(meant('retry-max-count', names)).toMatch(/ \.\.\.$/);
  });
});
