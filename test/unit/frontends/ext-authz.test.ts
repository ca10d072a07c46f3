import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { parseIp } from '../../../src/attributes/network.ts';
import { Timestamp, type Value } from '../../../src/attributes/values.ts';
import { CONTEXT_HEADER, contextHeader } from '../../../src/text/context-header.ts';
import { RECEIVED_HEADER } from '../../../src/text/received-header.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { type NetChanges, NO_CHANGES, NO_HEADERS, type Verdict } from '../../../src/core/call.ts';
import { CheckWire } from '../../../src/frontends/ext-authz/check-wire.ts';
import { extAuthzMethods } from '../../../src/frontends/index.ts';
import {
  type CheckRequest,
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
} from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { GrpcError, Status } from '../../../src/transport/transport.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';
import { ALLOW, DENY, fixedEngine } from '../../parts/fixed-engine.ts';
import { readerOf, unary } from './call.ts';
import { httpCheck, PEM, tcpCheck } from './messages.ts';

const NOW = 1_800_000_000_500;
const wireOf = (request: CheckRequest): CheckWire =>
  new CheckWire(rangeOf(toBinary(CheckRequestSchema, request)), () => NOW);

const ask = (verdict: Verdict, request: CheckRequest = httpCheck()): CheckResponse => {
  const answer = unary(extAuthzMethods(fixedEngine({ check: () => verdict })))(toBinary(CheckRequestSchema, request));
  if (answer instanceof Promise) throw new Error('it waited');
  return fromBinary(CheckResponseSchema, answer);
};
const ok = (response: CheckResponse) => {
  if (response.httpResponse.case !== 'okResponse') throw new Error('not allowed');
  return response.httpResponse.value;
};
const denied = (response: CheckResponse) => {
  if (response.httpResponse.case !== 'deniedResponse') throw new Error('not denied');
  return response.httpResponse.value;
};
const failure = (call: () => unknown): GrpcError => {
  try {
    call();
  } catch (error) {
    if (error instanceof GrpcError) return error;
    throw error;
  }
  throw new Error('it answered');
};

describe('the attributes of a check', () => {
  for (const [kind, message] of [
    ['http', httpCheck()],
    ['tcp', tcpCheck()],
  ] as const) {
    const read = readerOf(wireOf(message));
    const rows = VOCABULARY.filter(
      ({ carriedBy, source }) =>
        carriedBy[kind] !== undefined &&
        !carriedBy[kind].startsWith('context_extensions') &&
        source.kind === 'built-in',
    );
    test.each(rows.map(({ name }) => name))(`${kind} carries %s`, (name) => {
      expect(read(name)).toBeDefined();
    });
  }

  test('http, attribute by attribute', () => {
    const read = readerOf(wireOf(httpCheck()));
    const expected: Record<string, Value> = {
      'request.method': 'POST',
      'request.path': '/a//b?api=1',
      'request.url_path': '/a/b',
      'request.host': 'shop.example',
      'request.port': 80,
      'request.authority': 'shop.example:80',
      'request.scheme': 'https',
      'request.protocol': 'HTTP/2',
      'request.id': 'r-1',
      'request.time': new Timestamp(1_700_000_000, 5),
      'request.size': 5,
      'request.body': 'hello',
      'source.principal': 'cluster.local/ns/shop/sa/web',
      'source.port': 40000,
      'source.namespace': 'shop',
      'source.spiffe.id': 'spiffe://cluster.local/ns/shop/sa/web',
      'source.cluster': 'front',
      'origin.principal': 'cluster.local/ns/phone/sa/app',
      'origin.spiffe.namespace': 'phone',
      'origin.certificate.sha256': 'ab',
      'destination.port': 8080,
      'destination.principal': 'cluster.local/ns/shop/sa/shop',
      'destination.labels': new Map([['app', 'shop']]),
      'connection.mtls': true,
      'connection.requested_server_name': 'shop.example',
      'connection.peer_certificate': PEM,
      'connection.subject_peer_certificate': 'CN=web,O=Shop,C=NL',
      'connection.issuer_peer_certificate': 'CN=web,O=Shop,C=NL',
      'connection.uri_san_peer_certificate': 'spiffe://cluster.local/ns/shop/sa/web',
      'connection.dns_san_peer_certificate': 'web.shop',
      'connection.uri_sans_peer_certificate': ['spiffe://cluster.local/ns/shop/sa/web'],
      'connection.dns_sans_peer_certificate': ['web.shop'],
      'connection.sha256_peer_certificate_digest': '1e42c6d909ba81fbf315e84e27e262b5bd6845378e52b53b584c893a7c39a10a',
      'request.auth.principal': 'https://issuer/ann',
      'context.protocol': 'http',
      'context.time': Timestamp.fromMs(NOW),
      'context.stream_id': '1234',
      'context.route_metadata': new Map([['route', new Map([['team', 'shop']])]]),
    };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, read(name)]))).toEqual(expected);
    expect(['source.ip', 'origin.ip', 'destination.ip'].map(read)).toEqual(
      ['10.0.0.7', '203.0.113.9', '10.0.0.1'].map(parseIp),
    );
    expect((read('request.headers') as ReadonlyMap<string, string>).get('user-agent')).toBe('curl');
  });

  test('tcp has no request; SNI stands in destination.service where the session is not sent', () => {
    const read = readerOf(wireOf(tcpCheck()));
    expect([read('request.method'), read('request.headers'), read('request.url_path')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect([read('context.protocol'), read('connection.event'), read('connection.requested_server_name')]).toEqual([
      'tcp',
      'open',
      'db.example',
    ]);
    expect(wireOf(tcpCheck()).isHttp).toBe(false);
  });

  describe('context extensions in the header of the call', () => {
    const FACTS = {
      'destination.namespace': 'shop',
      'destination.labels': 'app=db,share=50%',
      tier: 'g\u00f6ld \ud83d\ude80',
    };
    /** `header`: with a character for each byte. */
    const withHeader = (header: string | undefined, message = tcpCheck()): { wire: CheckWire; asked: string[] } => {
      const asked: string[] = [];
      const metadata = (key: string): string | undefined => {
        asked.push(key);
        return key === CONTEXT_HEADER ? header : undefined;
      };
      return {
        wire: new CheckWire(rangeOf(toBinary(CheckRequestSchema, message)), () => NOW, { metadata }),
        asked,
      };
    };
    const tierOf = (wire: CheckWire): Value | undefined => wire.carried({ kind: 'contextExtension', name: 'tier' });

    test('are those of a connection, whose message has none', () => {
      const message = tcpCheck();
      if (message.attributes?.destination !== undefined) message.attributes.destination.labels = {};
      const { wire } = withHeader(contextHeader(FACTS), message);
      const read = readerOf(wire);
      expect(read('destination.namespace')).toBe('shop');
      expect(read('destination.labels')).toEqual(
        new Map([
          ['app', 'db'],
          ['share', '50%'],
        ]),
      );
      expect(tierOf(wire)).toBe(FACTS.tier);
      expect(read('destination.service.host')).toBeUndefined();
      expect(Object.fromEntries(wire.contextExtensions())).toEqual(FACTS);
    });

    test('are ASCII without the sign of command operators, and may be written by hand in UTF-8', () => {
      expect(contextHeader(FACTS)).toMatch(/^[!-$&-~ ]+$/);
      expect(tierOf(withHeader(Buffer.from(JSON.stringify(FACTS)).toString('latin1')).wire)).toBe(FACTS.tier);
    });

    test('lose to those of the message, name by name', () => {
      const { wire } = withHeader(contextHeader(FACTS), httpCheck());
      expect([tierOf(wire), readerOf(wire)('destination.namespace')]).toEqual(['gold', 'shop']);
      expect(readerOf(wire)('destination.labels')).toEqual(new Map([['app', 'shop']]));
      expect(Object.fromEntries(wire.contextExtensions())).toEqual({ ...FACTS, tier: 'gold' });
    });

    test.each([
      undefined,
      '',
      'destination.namespace=shop',
      '{"destination.namespace":"shop"',
      '["destination.namespace"]',
      'null',
      '"shop"',
      '{"destination.namespace":"shop","tier":1}',
      '{"destination.namespace":"shop","tier":null}',
    ])('are all absent if the header is %s', (header) => {
      const { wire } = withHeader(header);
      for (let time = 0; time < 2; time++) {
        expect([readerOf(wire)('destination.namespace'), tierOf(wire)]).toEqual([undefined, undefined]);
        expect(wire.contextExtensions().size).toBe(0);
      }
    });

    test('names of objects are names like others', () => {
      const { wire } = withHeader('{"__proto__":"x","constructor":"y"}');
      const named = (name: string): Value | undefined => wire.carried({ kind: 'contextExtension', name });
      expect([named('__proto__'), named('constructor'), named('toString')]).toEqual(['x', 'y', undefined]);
    });

    test('are not looked for by a call whose rules read none, nor in headers of the client', () => {
      const { wire, asked } = withHeader(contextHeader(FACTS), httpCheck());
      const read = readerOf(wire);
      for (const name of ['source.ip', 'source.principal', 'destination.port', 'request.headers', 'metadata'])
        read(name);
      expect([tierOf(wire), asked]).toEqual(['gold', []]);
      const message = httpCheck();
      const { http } = message.attributes?.request ?? {};
      if (http !== undefined) http.headers[CONTEXT_HEADER] = contextHeader({ 'destination.namespace': 'forged' });
      expect(readerOf(withHeader(undefined, message).wire)('destination.namespace')).toBeUndefined();
    });

    test('outlive the call of a kept wire, which lets go of it', () => {
      const { wire, asked } = withHeader(contextHeader(FACTS));
      wire.keep();
      wire.keep();
      expect(wire.weight).toBe(wire.scan.length + contextHeader(FACTS).length);
      expect([tierOf(wire), tierOf(wire)]).toEqual([FACTS.tier, FACTS.tier]);
      expect(asked).toEqual([CONTEXT_HEADER, RECEIVED_HEADER]);
    });

    test('are right for each of more filter chains than are cached', () => {
      for (let chain = 0; chain < 600; chain++)
        expect(tierOf(withHeader(contextHeader({ tier: `t${chain}` })).wire)).toBe(`t${chain}`);
      expect(tierOf(withHeader(contextHeader({ tier: 't0' })).wire)).toBe('t0');
    });
  });

  test('an empty field is an absent attribute', () => {
    const read = readerOf(
      wireOf(
        create(CheckRequestSchema, {
          attributes: { source: {}, destination: {}, request: { http: { method: 'GET', path: '/' } } },
        }),
      ),
    );
    for (const name of [
      'source.principal',
      'source.ip',
      'source.port',
      'origin.ip',
      'request.host',
      'request.body',
      'connection.requested_server_name',
      'connection.peer_certificate',
      'request.time',
      'source.namespace',
    ])
      expect(read(name), name).toBeUndefined();
    expect([
      read('connection.mtls'),
      new Map(read('request.headers') as Map<string, string>),
      read('metadata'),
      read('destination.labels'),
    ]).toEqual([false, new Map(), new Map(), new Map()]);
  });

  test('without a certificate, a principal is a SPIFFE ID only if Envoy names it by its URI', () => {
    const idOf = (principal: string): Value | undefined =>
      readerOf(wireOf(tcpCheck({ principal })))('source.spiffe.id');
    expect(idOf('spiffe://td/ns/shop/sa/web')).toBe('spiffe://td/ns/shop/sa/web');
    expect(['td/ns/shop/sa/web', 'CN=td/ns/shop/sa/web', 'https://td/ns/shop/sa/web'].map(idOf)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('a certificate without a name is still mutual TLS; a malformed one has no parts', () => {
    const read = readerOf(wireOf(tcpCheck({ certificate: 'not%20one' })));
    expect([
      read('connection.mtls'),
      read('connection.peer_certificate'),
      read('connection.subject_peer_certificate'),
    ]).toEqual([true, 'not one', undefined]);
  });

  test('raw headers are joined, lowered and read as UTF-8', () => {
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    const headers = [
      { key: 'X-A', rawValue: bytes('one') },
      { key: 'x-a', rawValue: bytes('twö') },
      { key: 'x-b', value: 'plain' },
    ];
    const read = readerOf(
      wireOf(create(CheckRequestSchema, { attributes: { request: { http: { headerMap: { headers } } } } })),
    );
    expect(read('request.headers')).toEqual(
      new Map([
        ['x-a', 'one,twö'],
        ['x-b', 'plain'],
      ]),
    );
    expect(read('request.header_values')).toEqual(
      new Map([
        ['x-a', ['one', 'twö']],
        ['x-b', ['plain']],
      ]),
    );
  });

  test('headers that the proxy has joined are one value each', () => {
    const http = { headers: { 'x-a': 'one,two' } };
    const read = readerOf(wireOf(create(CheckRequestSchema, { attributes: { request: { http } } })));
    expect(read('request.header_values')).toEqual(new Map([['x-a', ['one,two']]]));
  });

  test('labels come from a context extension if the proxy has none; text of another form is absent, not an empty map', () => {
    const labels = (contextExtensions: Record<string, string>, own: Record<string, string> = {}): unknown =>
      readerOf(
        wireOf(
          create(CheckRequestSchema, {
            attributes: { destination: { labels: own }, contextExtensions, request: { http: {} } },
          }),
        ),
      )('destination.labels');
    const app = new Map([['app', 'web']]);
    expect(labels({ 'destination.labels': 'app=web' })).toEqual(app);
    expect(labels({ 'destination.labels': 'app=other' }, { app: 'web' })).toEqual(app);
    expect(labels({})).toEqual(new Map());
    expect(labels({ 'destination.labels': 'web' })).toBeUndefined();
  });

  test.each<readonly [http: object, text: string | undefined, size: number | undefined]>([
    [{ rawBody: new TextEncoder().encode('né') }, 'né', 3],
    [{ rawBody: new Uint8Array([0x61, 0xff, 0xc3]) }, 'a\ufffd\ufffd', 3],
    [{ headers: { 'x-envoy-auth-partial-body': 'true' }, body: 'begins', size: 6n }, undefined, undefined],
    [{ headers: { 'x-envoy-auth-partial-body': 'true', 'content-length': '70' }, body: 'begins' }, undefined, 70],
    [{ headers: { 'x-envoy-auth-partial-body': 'false' } }, '', 0],
    [{ headers: { 'content-length': '12' }, size: 3n }, undefined, 12],
    [{ method: 'POST', headers: { 'content-length': '0' } }, undefined, 0],
    [{ method: 'POST', headers: { 'x-envoy-auth-partial-body': 'false' } }, '', 0],
    [{ method: 'POST', body: 'hello' }, 'hello', 5],
    ...['GET', 'HEAD', 'OPTIONS'].flatMap((method) => [
      [{ method }, undefined, 0] as const,
      [{ method, size: -1n }, undefined, 0] as const,
      [{ method, size: 9n }, undefined, undefined] as const,
    ]),
    ...['POST', 'PUT', 'PATCH', 'DELETE', 'FOO', 'get', ''].flatMap((method) => [
      [{ method }, undefined, undefined] as const,
      [{ method, size: 9n }, undefined, undefined] as const,
    ]),
  ])('body %#', (http, text, size) => {
    const read = readerOf(wireOf(create(CheckRequestSchema, { attributes: { request: { http } } })));
    expect([read('request.body'), read('request.size')]).toEqual([text, size]);
  });

  test.each<readonly [http: object, received: string | undefined, size: number | undefined]>([
    [{ method: 'GET' }, 'bytes=0;ms=0', 0],
    [{ method: 'POST' }, 'bytes=0;ms=12', 0],
    [{ method: 'DELETE', size: 9n }, 'bytes=2048;ms=3', 2048],
    [{ method: 'GET' }, 'bytes=0;ms=', undefined],
    [{ method: 'GET' }, 'bytes=5;ms=-', undefined],
    [{ method: 'GET' }, '', undefined],
    [{ method: 'GET', headers: { 'x-envoy-auth-partial-body': 'false' } }, 'bytes=0;ms=', undefined],
    [{ method: 'GET', headers: { 'content-length': '7' } }, 'bytes=0;ms=', 7],
    [{ method: 'GET', headers: { 'x-sluice-received': 'bytes=0;ms=0' }, size: 9n }, undefined, undefined],
  ])('size %#, of which Envoy says something', (http, received, size) => {
    const message = create(CheckRequestSchema, { attributes: { request: { http } } });
    const call = { metadata: (key: string) => (key === RECEIVED_HEADER ? received : undefined) };
    const wire = new CheckWire(rangeOf(toBinary(CheckRequestSchema, message)), () => NOW, call);
    expect(wire.read('request.size')).toBe(size);
    wire.keep();
    expect(wire.read('request.size')).toBe(size);
  });

  test('carries what the operator names', () => {
    const wire = wireOf(httpCheck());
    expect(wire.carried({ kind: 'contextExtension', name: 'tier' })).toBe('gold');
    expect(wire.carried({ kind: 'contextExtension', name: 'toString' })).toBeUndefined();
    expect(wire.carried({ kind: 'metadata', namespace: 'other', path: ['n'] })).toBe(1.5);
    expect(wire.carried({ kind: 'metadata', namespace: 'other', path: ['m'] })).toBeUndefined();
    expect(wire.carried({ kind: 'header', name: 'User-Agent' })).toBe('curl');
    expect(wire.carried({ kind: 'customTag', name: 'tier' })).toBeUndefined();
  });
});

describe('the answer to a check', () => {
  test('allow changes the request, in a form that has the same effect in all versions of Envoy', () => {
    const response = ask({
      ...ALLOW,
      changes: {
        isConstant: false,
        request: {
          set: [
            ['x-set', 'a'],
            ['Host', 'evil'],
            [':path', '/evil'],
          ],
          append: [
            ['user-agent', 'b'],
            ['x-new', 'c'],
            ['x-new', 'd'],
          ],
          remove: ['x-gone', ':method', 'host'],
        },
        response: {
          set: [['x-policy', 'e']],
          append: [
            ['vary', 'f'],
            ['set-cookie', 'g=1'],
          ],
          remove: [],
        },
        query: { set: [['tier', 'gold']], remove: ['debug'] },
        metadata: [['team', 'shop']],
      },
      shadow: ['tighter'],
    });
    expect(response.status).toMatchObject({ code: 0 });
    const { headers, headersToRemove, responseHeadersToAdd, queryParametersToSet, queryParametersToRemove } =
      ok(response);
    const short = (options: typeof headers) =>
      options.map(({ header, append, appendAction }) => [header?.key, header?.value, append, appendAction]);
    expect(short(headers)).toEqual([
      ['x-set', 'a', false, 2],
      ['user-agent', 'b', true, 0],
      ['x-new', 'c', false, 2],
      ['x-new', 'd', true, 0],
    ]);
    expect(headersToRemove).toEqual(['x-gone']);
    expect(short(responseHeadersToAdd)).toEqual([
      ['x-policy', 'e', false, 2],
      ['vary', 'f', true, 0],
      ['set-cookie', 'g=1', undefined, 0],
    ]);
    expect(queryParametersToSet.map(({ key, value }) => [key, value])).toEqual([['tier', 'gold']]);
    expect(queryParametersToRemove).toEqual(['debug']);
    expect(response.dynamicMetadata).toEqual({
      team: 'shop',
      sluice: { id: 'v-1', outcome: 'allow', shadow: ['tighter'] },
    });
  });

  test.each([
    ['/q?a=1', [['tier', 'gold&admin=1']], [['tier', 'gold%26admin%3D1']], ['debug']],
    ['/q', [['tier', 'a b/é#%2F']], [['tier', 'a%20b%2F%C3%A9%23%252F']], ['debug']],
    [
      '/q?%74ier=x&tier=y&ti%65r&t%69er=1#%74ier',
      [['tier', 'z']],
      [['tier', 'z']],
      ['debug', '%74ier', 'ti%65r', 't%69er'],
    ],
    ['/q?d%65bug=1&debug%20=2&Debug=3&debug', [], [], ['debug', 'd%65bug']],
    ['/q?my+name=1&my%20name=2&my%2520name=3', [['my name', 'v']], [['my%20name', 'v']], ['debug', 'my+name']],
    ['/q?a=%zz&%zz=b&??', [['%zz', 'v']], [['%25zz', 'v']], ['debug', '%zz']],
  ] as const)('a query is changed however it is spelt: %s', (path, set, written, removed) => {
    const request = httpCheck();
    if (request.attributes?.request?.http !== undefined) request.attributes.request.http.path = path;
    const changes: NetChanges = { ...NO_CHANGES, isConstant: true, query: { set, remove: ['debug'] } };
    for (let call = 0; call < 2; call++) {
      const { queryParametersToSet, queryParametersToRemove } = ok(ask({ ...ALLOW, changes }, request));
      expect(queryParametersToSet.map(({ key, value }) => [key, value])).toEqual(written);
      expect(queryParametersToRemove).toEqual(removed);
    }
    const plain = ok(ask({ ...ALLOW, changes })); // A constant change is not an answer that is sent twice.
    expect(plain.queryParametersToRemove).toEqual(['debug']);
  });

  test("the answer of many calls is encoded once; the id is each call's own", () => {
    const free: NetChanges = { ...NO_CHANGES, request: { ...NO_HEADERS, set: [['x-plan', 'free']] }, isConstant: true };
    const paid: NetChanges = { ...free, request: { ...NO_HEADERS, set: [['x-plan', 'paid']] } };
    const asked = (id: string, changes: NetChanges, rest: Partial<Verdict> = {}): unknown[] => {
      const response = ask({ ...ALLOW, id, changes, ...rest });
      return [ok(response).headers[0]?.header?.value, response.dynamicMetadata];
    };
    const said = (plan: string, id: string, shadow: readonly string[] = []): unknown[] => [
      plan,
      { sluice: { id, outcome: 'allow', shadow } },
    ];
    for (const id of ['v-8', 'v-9', 'v-10', 'v-11', 'v-9']) {
      expect(asked(id, free)).toEqual(said('free', id));
      expect(asked(id, paid)).toEqual(said('paid', id));
    }
    expect(asked('v-12', free, { shadow: ['tighter'] })).toEqual(said('free', 'v-12', ['tighter']));
    expect(
      asked('v-13', { ...free, isConstant: false, request: { ...NO_HEADERS, set: [['x-plan', 'other']] } }),
    ).toEqual(said('other', 'v-13'));
  });

  test('deny has the status, headers and body of the rule; every set-cookie is kept', () => {
    const response = ask({
      ...DENY,
      status: 418,
      headers: [
        ['x-reason', 'r'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        [':status', '200'],
      ],
      body: 'no',
    });
    expect(response.status).toMatchObject({ code: 7, message: 'closed' });
    const { status, headers, body } = denied(response);
    expect([status?.code, body]).toEqual([418, 'no']);
    expect(
      headers.map(({ header, append, appendAction }) => [header?.key, header?.value, append, appendAction]),
    ).toEqual([
      ['x-reason', 'r', false, 2],
      ['set-cookie', 'a=1', false, 2],
      ['set-cookie', 'b=2', undefined, 0],
    ]);
    expect(response.dynamicMetadata).toEqual({ sluice: { id: 'v-1', outcome: 'deny', rule: 'closed', shadow: [] } });
  });

  test('names are case-insensitive: a later spelling replaces all values of an earlier one, and nothing else', () => {
    const short = (options: ReturnType<typeof ok>['headers']) =>
      options.map(({ header, append, appendAction }) => [header?.key, header?.value, append, appendAction]);
    const { headers } = denied(
      ask({
        ...DENY,
        headers: [
          ['location', '/a'],
          ['x-a', '1'],
          ['location', '/b'],
          ['Location', '/c'],
          ['x-a', '2'],
          ['location', '/d'],
          ['location', '/e'],
        ],
      }),
    );
    expect(short(headers)).toEqual([
      ['x-a', '1', false, 2],
      ['x-a', '2', undefined, 0],
      ['location', '/d', false, 2],
      ['location', '/e', undefined, 0],
    ]);
    const set: NetChanges['request']['set'] = [
      ['x-a', '1'],
      ['X-A', '2'],
      ['X-A', '3'],
      ['x-b', '4'],
    ];
    const allowed = ok(
      ask({
        ...ALLOW,
        changes: {
          ...NO_CHANGES,
          isConstant: false,
          request: { ...NO_HEADERS, set },
          response: { ...NO_HEADERS, set },
        },
      }),
    );
    expect(short(allowed.headers)).toEqual([
      ['X-A', '2', false, 2],
      ['X-A', '3', true, 0],
      ['x-b', '4', false, 2],
    ]);
    expect(short(allowed.responseHeadersToAdd)).toEqual([
      ['X-A', '2,3', false, 2],
      ['x-b', '4', false, 2],
    ]);
  });

  test('status 0, which means allow, is sent for allow alone', () => {
    expect(ask({ ...DENY, code: 0 }).status?.code).toBe(Status.PERMISSION_DENIED);
    const failed = ask({ ...DENY, outcome: 'failed', code: 0, status: 200 });
    expect([failed.status?.code, denied(failed).status?.code]).toEqual([Status.UNAVAILABLE, 503]);
  });

  test('an error is a gRPC error', () => {
    expect(failure(() => ask({ ...DENY, outcome: 'error', code: 14 }))).toMatchObject({ code: Status.UNAVAILABLE });
  });

  test('anything but a CheckRequest is INVALID_ARGUMENT', () => {
    const call = unary(extAuthzMethods(fixedEngine()));
    expect(failure(() => call(new Uint8Array([0x0a, 0x05, 0x01])))).toMatchObject({ code: Status.INVALID_ARGUMENT });
    expect(failure(() => call(new Uint8Array(0)))).toMatchObject({ code: Status.INVALID_ARGUMENT });
  });

  test('waits only where the engine does', async () => {
    const bytes = toBinary(CheckRequestSchema, tcpCheck());
    const late = unary(extAuthzMethods(fixedEngine({ check: async (call) => ({ ...DENY, rule: call }) })))(bytes);
    expect(late).toBeInstanceOf(Promise);
    expect(fromBinary(CheckResponseSchema, await late).status?.message).toBe('tcp');
  });
});
