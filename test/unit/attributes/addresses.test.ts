import { BlockList, isIPv4 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IpRanges } from '../../../src/attributes/ip-ranges.ts';
import { type Cidr, ipv4Number, parseCidr, parseIp } from '../../../src/attributes/network.ts';

const part = fc.oneof(
  { weight: 8, arbitrary: fc.nat(255).map(String) },
  fc.constantFrom('', '0', '00', '01', '256', '1000', '1a', ' 1', '-1', '١'),
);
const text = fc
  .oneof({ weight: 4, arbitrary: fc.tuple(part, part, part, part) }, fc.array(part, { maxLength: 6 }))
  .map((parts) => parts.join('.'));

test('IPv4 addresses are those that Node accepts, and keep their text', () => {
  fc.assert(
    fc.property(text, (address) => {
      const ip = parseIp(address);
      expect(ip !== undefined).toBe(isIPv4(address));
      expect(ipv4Number(address) !== undefined).toBe(isIPv4(address));
      if (ip !== undefined)
        expect([ip.toString(), [...ip.bytes].join('.'), ipv4Number(address)]).toEqual([
          address,
          address,
          Buffer.from(ip.bytes).readUInt32BE(),
        ]);
    }),
    { numRuns: 5000 },
  );
});

function cidr(text: string): Cidr {
  const range = parseCidr(text);
  if (range === undefined) throw new Error(text);
  return range;
}

describe('ranges', () => {
  test('any spelling of an address is one address', () => {
    const ranges = new IpRanges([cidr('2001:db8::1/128'), cidr('192.0.2.1/32')]);
    for (const address of ['2001:db8::1', '2001:DB8:0:0:0:0:0:1', '2001:0db8:0000:0000:0000:0000:0.0.0.1'])
      expect(ranges.has(address)).toBe(true);
    expect(ranges.has('::ffff:192.0.2.1')).toBe(true);
    expect(ranges.has('::')).toBe(false);
    expect([ranges.has('fe80::1%eth0'), ranges.has('192.0.2'), ranges.has('')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('a mapped range is its IPv4 range', () => {
    expect(new IpRanges([cidr('::ffff:10.0.0.0/104')]).has('10.1.2.3')).toBe(true);
  });

  test('agree with node:net, IPv4', () => {
    // Few bits vary, so that networks and addresses meet.
    const address = fc
      .tuple(fc.constantFrom(10, 11, 138), fc.constantFrom(0, 127, 128), fc.nat(3), fc.nat(255))
      .map((bytes) => bytes.join('.'));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(address, fc.integer({ min: 0, max: 32 })), { minLength: 1, maxLength: 6 }),
        address,
        (networks, asked) => {
          const peer = new BlockList();
          for (const [network, bits] of networks) peer.addSubnet(network, bits, 'ipv4');
          const ranges = new IpRanges(networks.map(([network, bits]) => cidr(`${network}/${bits}`)));
          expect(ranges.has(asked)).toBe(peer.check(asked, 'ipv4'));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('agree with node:net, IPv6', () => {
    const group = fc.constantFrom('0', '1', '8000', 'ffff');
    const address = fc
      .tuple(fc.constantFrom('2001', '2002'), group, group, group, group, group, group, group)
      .map((groups) => groups.join(':'));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(address, fc.integer({ min: 0, max: 128 })), { minLength: 1, maxLength: 6 }),
        address,
        (networks, asked) => {
          const peer = new BlockList();
          for (const [network, bits] of networks) peer.addSubnet(network, bits, 'ipv6');
          const ranges = new IpRanges(networks.map(([network, bits]) => cidr(`${network}/${bits}`)));
          expect(ranges.has(asked)).toBe(peer.check(asked, 'ipv6'));
        },
      ),
      { numRuns: 500 },
    );
  });
});
