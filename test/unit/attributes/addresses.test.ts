import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseIp } from '../../../src/attributes/network.ts';
import { sortableAddress } from '../../../plugins/check-list/addresses.ts';

const part = fc.oneof(
  { weight: 8, arbitrary: fc.nat(255).map(String) },
  fc.constantFrom('', '0', '00', '01', '256', '1000', '1a', ' 1', '-1', '١'),
);
const text = fc
  .oneof({ weight: 4, arbitrary: fc.tuple(part, part, part, part) }, fc.array(part, { maxLength: 6 }))
  .map((parts) => parts.join('.'));

test('an IPv4 address is read as Node reads it, and keeps its text', () => {
  fc.assert(
    fc.property(text, (address) => {
      const ip = parseIp(address);
      expect(ip !== undefined).toBe(isIPv4(address));
      expect(sortableAddress(address) !== undefined).toBe(isIPv4(address));
      if (ip !== undefined)
        expect([ip.toString(), [...ip.bytes].join('.'), sortableAddress(address)]).toEqual([
          address,
          address,
          String.fromCharCode(...ip.bytes),
        ]);
    }),
    { numRuns: 5000 },
  );
});
