import { describe, expect, test } from 'vitest';
import {
  type Attribute,
  Attributes,
  type AttributeSettings,
  DEFAULT_ATTRIBUTE_SETTINGS,
} from '../../../src/attributes/attributes.ts';
import { RequestBag } from '../../../src/attributes/bag.ts';
import { AttributeError } from '../../../src/attributes/errors.ts';
import { parseIp } from '../../../src/attributes/network.ts';
import { type PlainCarried, plainWire } from '../../../src/attributes/plain-wire.ts';
import { STRING } from '../../../src/attributes/types.ts';
import { Duration, Timestamp, type Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import type { CallKind } from '../../../src/attributes/carrier.ts';

interface Request {
  given: Record<string, unknown>;
  carried?: PlainCarried;
  call?: CallKind;
  settings?: Partial<AttributeSettings>;
  own?: Attribute[];
}
function readerOf({ given, carried, call, settings, own = [] }: Request): (name: string) => Value | undefined {
  const attributes = new Attributes([...VOCABULARY, ...own], {
    ...DEFAULT_ATTRIBUTE_SETTINGS,
    ...settings,
  });
  const bag = new RequestBag(attributes, plainWire(attributes, given, carried, call));
  return (name) => bag.get(attributes.slotOf(name) ?? -1);
}
const read = (request: Request, name: string): Value | undefined => readerOf(request)(name);

const refusal = (given: Record<string, unknown>, own: Attribute[] = []): AttributeError => {
  try {
    readerOf({ given, own });
  } catch (error) {
    if (error instanceof AttributeError) return error;
    throw error;
  }
  throw new Error('it was taken');
};

describe('a request that is written by hand', () => {
  test('converts by declared type', () => {
    const of = readerOf({
      given: {
        'source.ip': '::ffff:10.0.0.1',
        'request.time': '2026-01-02T03:04:05.5Z',
        'response.duration': '1.5s',
        'response.code': 200,
        'connection.mtls': true,
        'request.headers': { 'X-User': 'ann', 'x-number': 7 },
        'request.raw_body': 'hé',
        'response.flags': ['UH'],
        metadata: { ns: { n: 1, list: [true, null] } },
      },
    });
    expect(of('source.ip')).toEqual(parseIp('10.0.0.1'));
    expect(of('request.time')).toEqual(new Timestamp(1767323045, 500_000_000));
    expect(of('response.duration')).toEqual(new Duration(1, 500_000_000));
    expect(of('response.code')).toBe(200);
    expect(of('connection.mtls')).toBe(true);
    expect(of('request.headers')).toEqual(
      new Map([
        ['x-user', 'ann'],
        ['x-number', '7'],
      ]),
    );
    expect(Buffer.from(of('request.raw_body') as Uint8Array).toString()).toBe('hé');
    expect(of('response.flags')).toEqual(['UH']);
    expect(of('metadata')).toEqual(
      new Map([
        [
          'ns',
          new Map<string, Value>([
            ['n', 1],
            ['list', [true, null]],
          ]),
        ],
      ]),
    );
  });

  test.each([
    [{ 'request.pth': '/' }, 'ATTRIBUTE_UNKNOWN', 'no attribute is named request.pth; did you mean request.path?'],
    [{ 'source.ip': 'nowhere' }, 'ATTRIBUTE_VALUE', 'source.ip is "nowhere"; expected an address such as 203.0.113.9'],
    [{ 'response.code': '200' }, 'ATTRIBUTE_VALUE', 'response.code is "200"; expected a whole number'],
    [{ 'response.code': 1.5 }, 'ATTRIBUTE_VALUE', 'response.code is 1.5; expected a whole number'],
    [{ 'response.duration': 2 }, 'ATTRIBUTE_VALUE', 'response.duration is 2; expected a span such as 2s or 150ms'],
    [{ 'request.headers': [] }, 'ATTRIBUTE_VALUE', 'request.headers is []; expected map(string, string)'],
    [{ 'request.method': null }, 'ATTRIBUTE_VALUE', 'request.method is null; expected text'],
  ])('refuses %j', (given, code, message) => {
    expect(refusal(given)).toMatchObject({ code, message, attribute: Object.keys(given)[0] });
  });

  test('refuses attributes that the policy or a handler computes', () => {
    const base = { type: STRING, meaning: 'x.', carriedBy: {}, always: false, secret: false };
    const own: Attribute[] = [
      { ...base, name: 'my.named', source: { kind: 'is', evaluate: () => 'x', text: '', reads: [] } },
      { ...base, name: 'my.made', source: { kind: 'filled' } },
    ];
    expect(refusal({ 'my.named': 'y' }, own).message).toContain('named expression');
    expect(refusal({ 'my.made': 'y' }, own).message).toContain('filled by a handler');
  });

  test('has the attributes of the policy that come from a wire', () => {
    const tier: Attribute = {
      name: 'my.tier',
      type: STRING,
      meaning: 'x.',
      carriedBy: {},
      always: false,
      secret: false,
      source: {
        kind: 'from',
        carriers: [
          { kind: 'contextExtension', name: 'tier' },
          { kind: 'customTag', name: 'tag' },
        ],
        convert: (raw) => raw,
      },
    };
    expect(read({ given: { 'my.tier': 'gold' }, own: [tier] }, 'my.tier')).toBe('gold');
    expect(read({ given: {}, carried: { contextExtension: { tier: 'silver' } }, own: [tier] }, 'my.tier')).toBe(
      'silver',
    );
    expect(read({ given: {}, carried: { customTag: { tag: 'tin' } }, own: [tier] }, 'my.tier')).toBe('tin');
  });

  test('a context extension is the fallback of a built-in attribute', () => {
    expect(
      read({ given: {}, carried: { contextExtension: { 'destination.namespace': 'shop' } } }, 'destination.namespace'),
    ).toBe('shop');
  });

  test('descriptor and entries are made from each other; hits are 1', () => {
    const fromMap = readerOf({
      given: { 'ratelimit.domain': 'shop', 'ratelimit.descriptor': { user: 'ann', path: '/a' } },
    });
    expect(fromMap('ratelimit.entries')).toEqual([
      new Map([
        ['key', 'user'],
        ['value', 'ann'],
      ]),
      new Map([
        ['key', 'path'],
        ['value', '/a'],
      ]),
    ]);
    expect(fromMap('ratelimit.hits')).toBe(1);
    const fromList = readerOf({
      given: {
        'ratelimit.entries': [
          { key: 'user', value: 'ann' },
          { key: 'user', value: 'bob' },
        ],
        'ratelimit.hits': 0,
      },
    });
    expect(fromList('ratelimit.descriptor')).toEqual(new Map([['user', 'ann']]));
    expect(fromList('ratelimit.hits')).toBe(0);
  });

  test('the maps that a call carries are present, if empty', () => {
    expect(read({ given: {}, call: 'http' }, 'request.headers')).toEqual(new Map());
    expect(read({ given: {}, call: 'limit' }, 'request.headers')).toBeUndefined();
    expect(read({ given: {}, call: 'log' }, 'response.headers')).toEqual(new Map());
  });
});

describe('derived attributes', () => {
  test('from the path', () => {
    const of = readerOf({ given: { 'request.path': '/a//b%2Fc?x=1' } });
    expect(of('request.url_path')).toBe('/a/b/c');
    expect([...(of('request.query') as ReadonlyMap<string, string>)]).toEqual([['x', '1']]);
    expect(read({ given: { 'request.path': '/a//b' }, settings: { path: 'NONE' } }, 'request.url_path')).toBe('/a//b');
    expect(read({ given: {} }, 'request.url_path')).toBeUndefined();
  });

  test.each([
    [undefined, '198.51.100.1, 203.0.113.9', '10.0.0.1'],
    [0, '198.51.100.1, 203.0.113.9', '203.0.113.9'],
    [1, '198.51.100.1, 203.0.113.9', '198.51.100.1'],
    [2, '198.51.100.1, 203.0.113.9', '10.0.0.1'],
    [0, 'unknown', '10.0.0.1'],
    [0, '::ffff:203.0.113.9', '203.0.113.9'],
    [0, undefined, '10.0.0.1'],
  ])('origin.ip behind %j hops with %j is %s', (trustedHops, forwarded, origin) => {
    const given = {
      'source.ip': '10.0.0.1',
      'request.headers': forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    };
    expect(read({ given, settings: { trustedHops } }, 'origin.ip')).toEqual(parseIp(origin));
  });

  test('from a principal of the mesh', () => {
    const of = readerOf({ given: { 'source.principal': 'cluster.local/ns/shop/sa/web' } });
    expect([
      of('source.trustDomain'),
      of('source.namespace'),
      of('source.serviceAccount'),
      of('connection.mtls'),
    ]).toEqual(['cluster.local', 'shop', 'web', true]);
    expect(read({ given: { 'source.principal': 'CN=web' } }, 'source.namespace')).toBeUndefined();
    expect(read({ given: {} }, 'connection.mtls')).toBe(false);
  });

  test('from headers', () => {
    const of = readerOf({
      given: {
        'request.headers': {
          'user-agent': 'curl',
          'x-request-id': 'r1',
          'content-type': 'application/grpc+proto',
          'x-api-key': 'k',
        },
      },
    });
    expect([
      of('request.useragent'),
      of('request.id'),
      of('context.protocol'),
      of('request.api_key'),
      of('request.referer'),
    ]).toEqual(['curl', 'r1', 'grpc', 'k', undefined]);
    expect(read({ given: { 'request.path': '/?key=q', 'request.headers': {} } }, 'request.api_key')).toBe('q');
  });

  test('from a verified token', () => {
    const of = readerOf({
      given: {},
      carried: {
        metadata: {
          'envoy.filters.http.jwt_authn': {
            my_payload: { iss: 'https://i', sub: 's', aud: ['a', 'b'], azp: 'p', n: 1 },
          },
        },
      },
    });
    expect([of('request.auth.principal'), of('request.auth.audiences'), of('request.auth.presenter')]).toEqual([
      'https://i/s',
      ['a', 'b'],
      'p',
    ]);
    expect((of('request.auth.claims') as ReadonlyMap<string, Value>).get('n')).toBe(1);
    expect(JSON.parse(of('request.auth.raw_claims') as string)).toEqual({
      iss: 'https://i',
      sub: 's',
      aud: ['a', 'b'],
      azp: 'p',
      n: 1,
    });
  });

  test('from the verdict of the check', () => {
    const of = readerOf({
      given: {},
      carried: {
        metadata: {
          'envoy.filters.http.ext_authz': { sluice: { id: 'v1', rule: 'r', outcome: 'deny' }, ext_authz_duration: 2 },
        },
      },
    });
    expect([of('verdict.id'), of('verdict.rule'), of('verdict.outcome'), of('verdict.latency')]).toEqual([
      'v1',
      'r',
      'deny',
      new Duration(0, 2_000_000),
    ]);
    expect(read({ given: {} }, 'verdict.rule')).toBeUndefined();
  });
});
