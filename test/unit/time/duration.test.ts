import { describe, expect, test } from 'vitest';
import { durationMs, goDurationMs, goDurationNanos } from '../../../src/time/duration.ts';

describe('our durations', () => {
  test.each([
    ['50ms', 50],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['30d', 2_592_000_000],
    ['0.6ms', 1],
  ])('%s', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  test.each(['', '5', 's', '0s', '0.4ms', '-1s', '1 s', '1h30m', '1.s', '.5s', '1us', '1S', '9007199254740993ms'])(
    '%j is none',
    (text) => {
      expect(durationMs(text)).toBeUndefined();
    },
  );

  test('units that are not meant are refused', () => {
    expect([durationMs('5s', ['ms', 's']), durationMs('5m', ['ms', 's'])]).toEqual([5000, undefined]);
  });
});

describe("Go's durations", () => {
  test.each([
    ['0', 0],
    ['-0', 0],
    ['1h30m', 5_400_000],
    ['+1.5s', 1500],
    ['-2ms', -2],
    ['150us', 0.15],
    ['150µs', 0.15],
    ['150μs', 0.15],
    ['.5s', 500],
    ['5.s', 5000],
    ['2562047h', 9_223_369_200_000],
  ])('%s', (text, ms) => {
    expect(goDurationMs(text)).toBe(ms);
  });

  test.each(['', '5', '.s', '1d', '1h 30m', '1h-30m', '--1s', '2562048h', '-2562048h'])('%j is none', (text) => {
    expect(goDurationMs(text)).toBeUndefined();
  });

  test('exact to the nanosecond, beyond the numbers that are exact', () => {
    expect(goDurationNanos('2562047h47m16.854775807s')).toBe(2n ** 63n - 1n);
  });
});
