import { expect, test } from 'vitest';
import { durationMs, durationText } from '../../../src/time/duration.ts';

test.each([
  [0, '0ms'],
  [1, '1ms'],
  [1500, '1500ms'],
  [90_000, '90s'],
  [60_000, '1m'],
  [3_600_000, '1h'],
  [86_400_000, '1d'],
])('%d ms is %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
  if (ms > 0) expect(durationMs(text)).toBe(ms);
});
