import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hostOf, portOf } from '../../../src/attributes/host.ts';

test.each([
  ['shop', 'shop', undefined],
  ['Shop.Example:80', 'shop.example', 80],
  ['shop.', 'shop', undefined],
  ['shop.:8080', 'shop', 8080],
  ['shop..', 'shop', undefined],
  ['shop:', 'shop', undefined],
  ['shop:x', 'shop', undefined],
  ['shop:65536', 'shop', undefined],
  ['[::1]:99', '[::1]', 99],
  ['[2001:DB8::1]', '[2001:db8::1]', undefined],
  ['192.0.2.1:443', '192.0.2.1', 443],
  [':80', undefined, 80],
  ['', undefined, undefined],
  ['.', undefined, undefined],
  ['[::1', undefined, undefined],
  ['user@shop', undefined, undefined],
  ['user:secret@shop:80', undefined, undefined],
  ['shop,other', undefined, undefined],
  ['shop/x', undefined, undefined],
  ['shop x', undefined, undefined],
  ['%61dmin.example', undefined, undefined],
  ['shop_a-b.example', 'shop_a-b.example', undefined],
  ['*', '*', undefined],
  // One IPv6 address.
  ['[0:0:0:0:0:0:0:1]', '[::1]', undefined],
  ['[0000:0000::0001]:80', '[::1]', 80],
  ['[2001:DB8:0:0:0:0:0:0A]', '[2001:db8::a]', undefined],
  ['[2001:db8:0:1:1:1:1:1]', '[2001:db8:0:1:1:1:1:1]', undefined],
  ['[::]:', '[::]', undefined],
  // It maps an IPv4 address.
  ['[::ffff:192.0.2.1]:8080', '192.0.2.1', 8080],
  ['[::FFFF:C000:0201]', '192.0.2.1', undefined],
  ['[0:0:0:0:0:ffff:192.0.2.1]', '192.0.2.1', undefined],
  ['[::192.0.2.1]', '[::c000:201]', undefined],
  ['192.0.2.1.', '192.0.2.1', undefined],
  // No address, though it resembles one.
  ['[fe80::1%25eth0]', undefined, undefined],
  ['[fe80::1%eth0]', undefined, undefined],
  ['[::1%]', undefined, undefined],
  ['::1', undefined, undefined],
  ['2001:db8::1', undefined, undefined],
  ['[::1]x', undefined, undefined],
  ['[::1]x:80', undefined, 80],
  ['[::1].', undefined, undefined],
  ['[::1]:80:90', undefined, undefined],
  ['x[::1]', undefined, undefined],
  ['[1.2.3.4]', undefined, undefined],
  ['[v1.a:b]', undefined, undefined],
  ['[1::2::3]', undefined, undefined],
  ['[12345::]', undefined, undefined],
  ['[::ffff:192.0.2.01]', undefined, undefined],
  ['[]', undefined, undefined],
  ['[shop]', undefined, undefined],
  ['shop]', undefined, undefined],
  ['shop:80:90', undefined, undefined],
  // A parser of URLs takes these for 127.0.0.1.
  ['127.1', undefined, undefined],
  ['127.0.0.01', undefined, undefined],
  ['0177.0.0.1', undefined, undefined],
  ['0x7f.1:80', undefined, 80],
  ['0X7F000001', undefined, undefined],
  ['2130706433', undefined, undefined],
  ['127.0.0.1.0x.', undefined, undefined],
  ['1.2.3.4.5', undefined, undefined],
  ['1.example', '1.example', undefined],
  ['shop.0xg', 'shop.0xg', undefined],
  ['web-0', 'web-0', undefined],
  // And this for admin.example.
  ['\uff41dmin.example', undefined, undefined],
  ['admin\u3002example', undefined, undefined],
  ['\u212aube', undefined, undefined],
])('the authority %j names the host %j and the port %j', (authority, host, port) => {
  expect([hostOf(authority), portOf(authority)]).toEqual([host, port]);
});

test('a host that a parser of URLs reads as another is none, or that other', () => {
  const part = fc.constantFrom(
    'a',
    'A',
    '1',
    '0',
    'x',
    'f',
    '.',
    ':',
    '[',
    ']',
    '::',
    '%',
    '\uff41',
    '\u3002',
    '-',
    '@',
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 12 }), (parts) => {
      const authority = parts.join('');
      const host = hostOf(authority);
      if (host === undefined) return;
      expect(hostOf(host)).toBe(host);
      if (!URL.canParse(`http://${authority}/`)) return;
      const { hostname } = new URL(`http://${authority}/`);
      expect(hostOf(hostname.replace(/\.+$/, ''))).toBe(host);
    }),
    { numRuns: 5000 },
  );
});

test('every spelling of an IPv6 address names one host', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0, 0, 1, 0xffff, 0xdb8), { minLength: 8, maxLength: 8 }), (groups) => {
      const full = groups.map((group) => group.toString(16).padStart(4, '0')).join(':');
      const short = new URL(`http://[${full}]/`).hostname;
      expect(hostOf(`[${full.toUpperCase()}]:80`)).toBe(hostOf(short));
      expect(hostOf(short)).toBeDefined();
    }),
  );
});
