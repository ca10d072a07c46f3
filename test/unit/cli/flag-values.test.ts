import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../../src/cli/flag-values.ts';
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
