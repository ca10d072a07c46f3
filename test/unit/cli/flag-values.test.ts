import { describe, expect, test } from 'vitest';
import { parseAddress, parseBytes, parseDuration, parsePercent, parseSeconds } from '../../../src/cli/flag-values.ts';
import { addressText } from '../../../src/transport/index.ts';

describe('an address', () => {
  test.each([
    ['127.0.0.1:9091', { host: '127.0.0.1', port: 9091 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    [':8080', { host: '127.0.0.1', port: 8080 }],
    ['localhost:1', { host: 'localhost', port: 1 }],
  ])('%s is read', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
  });

  test.each(['9091', 'host', 'host:', 'host:99999', 'host:-1', '::1:80', 'a b:80', ''])(
    '%s is refused with what was expected',
    (text) => {
      expect(() => parseAddress(text)).toThrow(/expected HOST:PORT/);
    },
  );

  test('parses what addressText prints', () => {
    for (const text of ['127.0.0.1:1', '[fd00::1]:2', 'unix:/run/sluice.sock'])
      expect(addressText(parseAddress(text, { unix: true }))).toBe(text);
  });
});

test('a size, a time and a percentage are read with their units', () => {
  expect([parseBytes('--max-bytes', '1GiB'), parseBytes('--max-bytes', '10')]).toEqual([1024 ** 3, 10]);
  expect(parseDuration('--for', '10m')).toBe(600_000);
  expect([parseSeconds('--grace', '0'), parseSeconds('--age', '1.5', 1)]).toEqual([0, 1500]);
  expect([parsePercent('--share', '10%'), parsePercent('--share', '0.5')]).toEqual([10, 0.5]);
});

test.each([
  [() => parseBytes('--max-bytes', '1 GB'), '--max-bytes is "1 GB"; expected a size such as 64MiB'],
  [() => parseBytes('--max-bytes', '0'), '--max-bytes is "0"'],
  [() => parseDuration('--for', 'soon'), '--for is "soon"; expected a time such as 10m'],
  [() => parseDuration('--for', '0s'), '--for is "0s"'],
  [() => parseSeconds('--grace', '-1'), '--grace is "-1"; expected a number of seconds'],
  [() => parseSeconds('--grace', '1s'), '--grace is "1s"'],
  [() => parseSeconds('--age', '0.5', 1), '--age is "0.5"; expected a number of seconds, at least 1'],
  [() => parsePercent('--share', '0%'), '--share is "0%"; expected a percentage above 0, up to 100%'],
  [() => parsePercent('--share', '101'), '--share is "101"'],
  [() => parsePercent('--share', 'all'), '--share is "all"'],
])('%s is refused with what was expected', (read, why) => {
  expect(read).toThrow(why);
});
