import { describe, expect, test } from 'vitest';
import { Attributes, type AttributeSettings, DEFAULT_ATTRIBUTE_SETTINGS } from '../../../src/attributes/attributes.ts';
import { RequestBag } from '../../../src/attributes/bag.ts';
import { elementsOf } from '../../../src/attributes/forwarded-certificate.ts';
import { plainWire } from '../../../src/attributes/plain-wire.ts';
import { provenId, spiffeId } from '../../../src/attributes/spiffe.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { PEM } from '../frontends/messages.ts';

describe('a SPIFFE ID', () => {
  test.each([
    ['spiffe://cluster.local/ns/shop/sa/web', 'cluster.local', '/ns/shop/sa/web', 'shop', 'web'],
    ['spiffe://example.org', 'example.org', '', undefined, undefined],
    ['spiffe://example.org/billing/payments', 'example.org', '/billing/payments', undefined, undefined],
    ['spiffe://a_b-1/ns/shop/sa/web/x', 'a_b-1', '/ns/shop/sa/web/x', undefined, undefined],
    ['spiffe://td/x/ns/shop/sa/web', 'td', '/x/ns/shop/sa/web', undefined, undefined],
    ['spiffe://td/ns/..a/sa/...', 'td', '/ns/..a/sa/...', '..a', '...'],
  ])('%s has its parts', (uri, trustDomain, path, namespace, serviceAccount) => {
    expect(spiffeId(uri)).toEqual({ trustDomain, path, namespace, serviceAccount });
  });

  test.each([
    '',
    'spiffe://',
    'spiffe:///ns/shop/sa/web',
    'spiffe://td/',
    'spiffe://td//a',
    'spiffe://td/a/',
    'spiffe://td/./a',
    'spiffe://td/a/..',
    'spiffe://TD/a',
    'SPIFFE://td/a',
    'spiffe://td:8080/a',
    'spiffe://user@td/a',
    'spiffe://td/a?b',
    'spiffe://td/a#b',
    'spiffe://td/%61',
    'spiffe://td/é',
    'spiffe://td/a b',
    'spiffe://td/a\n',
    'https://td/ns/shop/sa/web',
    ' spiffe://td/a',
    `spiffe://${'a'.repeat(256)}/a`,
    `spiffe://td/${'a'.repeat(2040)}`,
  ])('%j is none', (uri) => {
    expect(spiffeId(uri)).toBeUndefined();
  });

  test('is proven by the only URI SAN of a certificate', () => {
    expect(provenId(['spiffe://td/a'])?.path).toBe('/a');
    expect(provenId(['spiffe://td/a', 'spiffe://td/b'])).toBeUndefined();
    expect(provenId(['spiffe://td/a', 'https://b'])).toBeUndefined();
    expect(provenId([])).toBeUndefined();
  });
});

describe('x-forwarded-client-cert', () => {
  test.each([
    [
      'By=a;Hash=b',
      [
        [
          ['by', 'a'],
          ['hash', 'b'],
        ],
      ],
    ],
    ['Hash=a, hash=b ,HASH= c', [[['hash', 'a']], [['hash', 'b']], [['hash', 'c']]]],
    [
      'Subject="CN=a\\,b,O=\\"x\\"";URI="a,b;c\\"d";DNS=',
      [
        [
          ['subject', 'CN=a\\,b,O=\\"x\\"'],
          ['uri', 'a,b;c"d'],
          ['dns', ''],
        ],
      ],
    ],
    ['URI=https://a/?b=c', [[['uri', 'https://a/?b=c']]]],
  ])('%s is read', (header, elements) => {
    expect(elementsOf(header)).toEqual(elements);
  });

  test.each([
    '',
    ',',
    'Hash=a,',
    ',Hash=a',
    'Hash=a;',
    ';Hash=a',
    'Hash',
    '=a',
    'Subject="a',
    'Subject="a"b',
    'Subject="a\\"',
    'Subject=a"b',
    'Subject="a\\\\",URI="b"c',
    'Ha sh=a',
    'Hash=a;;URI=b',
  ])('%j is malformed', (header) => {
    expect(elementsOf(header)).toBeUndefined();
  });

  test.each([
    ['spaces before a key', `Hash=a,${' '.repeat(60_000)}`],
    ['spaces in a value', `URI=${' '.repeat(60_000)}"`],
    ['backslashes', `Subject="${'\\'.repeat(59_999)}`],
    ['equals signs', `URI=${'='.repeat(60_000)}"`],
    ['elements', `${'Hash=a,'.repeat(8_000)}"`],
  ])('60 kB of %s are read in linear time', (_, header) => {
    const before = process.cpuUsage();
    expect(elementsOf(header)).toBeUndefined();
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(400);
  });
});

const SETTINGS: Partial<AttributeSettings> = { trustedCertificateHops: 0 };

/** Reads attributes of a request that came with a header; the peer is the gateway. */
function read(
  names: readonly string[],
  header: string | undefined,
  settings: Partial<AttributeSettings> = SETTINGS,
): readonly unknown[] {
  const attributes = new Attributes(VOCABULARY, { ...DEFAULT_ATTRIBUTE_SETTINGS, ...settings });
  const bag = new RequestBag(
    attributes,
    plainWire(attributes, {
      'source.principal': 'td/ns/edge/sa/gateway',
      ...(header === undefined ? {} : { 'request.headers': { 'x-forwarded-client-cert': header } }),
    }),
  );
  return names.map((name) => bag.get(attributes.slotOf(name) ?? -1));
}

const WEB = 'By=spiffe://td/ns/edge/sa/gateway;Hash=AB01;URI=spiffe://td/ns/shop/sa/web;DNS=web;DNS=web.shop';
const ADMIN = 'Hash=ff;URI=spiffe://td/ns/shop/sa/admin';

describe('the identity of a client', () => {
  const WHO = ['origin.principal', 'origin.spiffe.namespace', 'origin.spiffe.serviceAccount'];

  test('is that of the peer if no setting trusts the header', () => {
    expect(read(WHO, ADMIN, {})).toEqual(['td/ns/edge/sa/gateway', 'edge', 'gateway']);
  });

  test('is in the last element, or one further to the left for each hop', () => {
    expect(read(WHO, `${ADMIN},${WEB}`)).toEqual(['td/ns/shop/sa/web', 'shop', 'web']);
    expect(read(WHO, `${ADMIN},${WEB},Hash=cc`, { trustedCertificateHops: 1 })).toEqual([
      'td/ns/shop/sa/web',
      'shop',
      'web',
    ]);
  });

  test.each([
    ['the header is missing', undefined, 0],
    ['it has fewer elements than hops', ADMIN, 1],
    ['it is malformed', `${ADMIN};`, 0],
    ['its element has no names', 'Hash=ab', 0],
    ['its element has two subjects', 'Subject="CN=a";Subject="CN=b"', 0],
  ])('is absent, and not the peer, if %s', (_, header, trustedCertificateHops) => {
    expect(read(WHO, header, { trustedCertificateHops })).toEqual([undefined, undefined, undefined]);
  });

  test('has no SPIFFE ID if the element has two URIs', () => {
    const header = 'URI=spiffe://td/ns/shop/sa/web;URI=spiffe://td/ns/shop/sa/admin';
    expect(read(['origin.spiffe.id', 'origin.certificate.uri_sans'], header)).toEqual([
      undefined,
      ['spiffe://td/ns/shop/sa/web', 'spiffe://td/ns/shop/sa/admin'],
    ]);
  });

  test('has all names of the element and its digest', () => {
    expect(
      read(['origin.certificate.dns_sans', 'origin.certificate.sha256', 'origin.certificate.subject'], WEB),
    ).toEqual([['web', 'web.shop'], 'ab01', undefined]);
  });

  test('keeps the escapes of a subject, so that a name cannot pretend to be another attribute', () => {
    expect(read(['origin.certificate.subject'], 'Subject="CN=x\\,O=Admin,O=Shop"')).toEqual(['CN=x\\,O=Admin,O=Shop']);
  });

  test('comes from the certificate where the element has no names', () => {
    const names = [...WHO, 'origin.certificate.subject', 'origin.certificate.sha256'];
    expect(read(names, `Cert="${encodeURIComponent(PEM)}"`)).toEqual([
      'cluster.local/ns/shop/sa/web',
      'shop',
      'web',
      'CN=web,O=Shop,C=NL',
      '1e42c6d909ba81fbf315e84e27e262b5bd6845378e52b53b584c893a7c39a10a',
    ]);
  });

  test('of a connection is that of the peer, since a connection has no headers', () => {
    const attributes = new Attributes(VOCABULARY, { ...DEFAULT_ATTRIBUTE_SETTINGS, ...SETTINGS });
    const wire = plainWire(attributes, { 'source.principal': 'td/ns/edge/sa/gateway' }, {}, 'tcp');
    const bag = new RequestBag(attributes, wire);
    expect(bag.get(attributes.slotOf('origin.spiffe.namespace') ?? -1)).toBe('edge');
  });
});

test('a trust domain reads as the one that it is an alias of; source.principal stays as sent', () => {
  const settings = { trustDomainAliases: new Map([['td', 'cluster.local']]) };
  const names = [
    'source.spiffe.id',
    'source.spiffe.trustDomain',
    'source.trustDomain',
    'source.principal',
    'origin.spiffe.id',
  ];
  expect(read(names, undefined, settings)).toEqual([
    'spiffe://cluster.local/ns/edge/sa/gateway',
    'cluster.local',
    'cluster.local',
    'td/ns/edge/sa/gateway',
    'spiffe://cluster.local/ns/edge/sa/gateway',
  ]);
});
