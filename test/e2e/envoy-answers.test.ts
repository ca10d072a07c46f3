/** A real Envoy and the frontends, with fixed verdicts in place of a policy: the effect of answers, and the content of messages. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Attributes } from '../../src/attributes/attributes.ts';
import { RequestBag, type Wire } from '../../src/attributes/bag.ts';
import type { Value } from '../../src/attributes/values.ts';
import { VOCABULARY } from '../../src/attributes/vocabulary.ts';
import { type LimitVerdict, NO_CHANGES, NO_HEADERS, type Verdict } from '../../src/core/call.ts';
import { frontendMethods } from '../../src/frontends/index.ts';
import { listen, type Transport } from '../../src/transport/index.ts';
import { ALLOW, DENY, fixedEngine } from '../parts/fixed-engine.ts';
import { envoyConfig } from '../parts/envoy-config.ts';
import { startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { type Arrived, startUpstream, type Upstream } from '../parts/upstream.ts';
import { until } from './sluice.ts';

const VERDICTS: Readonly<Record<string, Verdict>> = {
  '/change': {
    ...ALLOW,
    changes: {
      isConstant: false,
      metadata: [],
      request: {
        set: [['x-set', 'ours']],
        append: [
          ['x-there', 'two'],
          ['x-new', 'one'],
          ['x-new', 'two'],
        ],
        remove: ['x-gone'],
      },
      response: {
        set: [['content-type', 'text/plain']],
        append: [
          ['x-added', 'a'],
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
        ],
        remove: [],
      },
      query: { set: [['tier', 'gold']], remove: ['debug'] },
    },
  },
  '/no': {
    ...DENY,
    status: 451,
    body: 'not here',
    headers: [
      ['x-reason', 'law'],
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ],
  },
  '/spelt': {
    ...DENY,
    status: 302,
    headers: [
      ['location', '/a'],
      ['set-cookie', 'a=1'],
      ['Location', '/b'],
      ['set-cookie', 'b=2'],
      ['Set-Cookie', 'c=3'],
      ['Set-Cookie', 'd=4'],
    ],
  },
  '/list': {
    ...ALLOW,
    changes: {
      ...NO_CHANGES,
      isConstant: false,
      request: {
        ...NO_HEADERS,
        set: [
          ['x-list', 'a'],
          ['x-list', 'b'],
        ],
      },
      response: {
        ...NO_HEADERS,
        set: [
          ['set-cookie', 'a=1'],
          ['content-type', 'text/a'],
          ['set-cookie', 'b=2'],
          ['x-list', 'c'],
          ['x-list', 'd'],
        ],
      },
    },
  },
  '/failed': { ...DENY, outcome: 'failed' },
  '/error': { ...DENY, outcome: 'error' },
};
const OVER: LimitVerdict = {
  id: 'v-2',
  outcome: 'deny',
  rule: 'per-user',
  response: { ...NO_HEADERS, set: [['x-policy', 'seven']] },
  shadow: [],
  reasons: [],
  statuses: [
    { over: true, rule: 'per-user', limit: 5, perMs: 60_000, remaining: 0, resetMs: 1200 },
    { over: false, rule: undefined, limit: 0, perMs: 0, remaining: 0, resetMs: 0 },
  ],
};

const ATTRIBUTES = new Attributes(VOCABULARY);
const CARRIED = {
  http: new Map<string, Wire>(),
  log: new Map<string, Wire>(),
  tcp: [] as Wire[],
  tcpLog: [] as Wire[],
};
const read = (wire: Wire | undefined, name: string): Value | undefined => {
  if (wire === undefined) throw new Error('it was not told');
  return new RequestBag(ATTRIBUTES, wire).get(ATTRIBUTES.slotOf(name) ?? -1);
};

let server: Transport;
let upstream: Upstream;
let envoy: Awaited<ReturnType<typeof startEnvoy>>;
let httpPort: number;
let tcpPort: number;

beforeAll(async () => {
  upstream = await startUpstream();
  const engine = fixedEngine({
    check: (call, wire) => {
      wire.keep(); // read after the call
      const path = String(read(wire, 'request.url_path') as string | undefined);
      if (call === 'http') CARRIED.http.set(path, wire);
      else CARRIED.tcp.push(wire);
      return VERDICTS[path] ?? ALLOW;
    },
    limit: () => OVER,
    report: (call, wire) => {
      if (call === 'log') CARRIED.log.set(String(read(wire, 'request.url_path') as string), wire);
      else CARRIED.tcpLog.push(wire);
      return undefined;
    },
  });
  server = await listen(new Map(frontendMethods(engine)), {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 22,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  const adminPort = await freePort();
  httpPort = await freePort();
  tcpPort = await freePort();
  envoy = await startEnvoy({
    config: envoyConfig({
      adminPort,
      httpPort,
      tcpPort,
      sluicePort: server.port,
      upstreamPort: upstream.httpPort,
      tcpUpstreamPort: upstream.tcpPort,
    }),
    adminPort,
  });
});
afterAll(async () => {
  await envoy.stop();
  await server.drain(100);
  await upstream.stop();
});

const get = (path: string, init?: RequestInit): Promise<Response> => fetch(`http://127.0.0.1:${httpPort}${path}`, init);

describe('a real Envoy', () => {
  test('sets headers, appends to present and absent ones, and removes', async () => {
    const response = await get('/change?debug=1&keep=2', {
      headers: { 'x-set': 'theirs', 'x-there': 'one', 'x-gone': 'secret' },
    });
    const { url, headers } = (await response.json()) as Arrived;
    expect([headers['x-set'], headers['x-there'], headers['x-new'], headers['x-gone']]).toEqual([
      'ours',
      'one,two',
      'one,two',
      undefined,
    ]);
    expect(Object.fromEntries(new URL(url, 'http://upstream').searchParams)).toEqual({ keep: '2', tier: 'gold' });
    expect([
      response.headers.get('content-type'),
      response.headers.get('x-added'),
      response.headers.getSetCookie(),
    ]).toEqual(['text/plain', 'a', ['a=1', 'b=2']]);
  });

  test('denies with status, body and every set-cookie', async () => {
    const response = await get('/no');
    expect([
      response.status,
      await response.text(),
      response.headers.get('x-reason'),
      response.headers.getSetCookie(),
    ]).toEqual([451, 'not here', 'law', ['a=1', 'b=2']]);
  });

  test('a later spelling of a header name replaces an earlier one, and a list keeps all its values', async () => {
    const denied = await get('/spelt', { redirect: 'manual' });
    expect([denied.headers.get('location'), denied.headers.getSetCookie()]).toEqual(['/b', ['c=3', 'd=4']]);
    const passed = await get('/list', { headers: { 'x-list': 'theirs' } });
    expect([
      ((await passed.json()) as Arrived).headers['x-list'],
      passed.headers.getSetCookie(),
      passed.headers.get('x-list'),
      passed.headers.get('content-type'),
    ]).toEqual(['a,b', ['a=1', 'b=2'], 'c,d', 'text/a']);
  });

  test('distinguishes a failed rule from an error, for which its own failure mode decides', async () => {
    const before = (await envoy.stats())['cluster.app.ext_authz.error'] ?? 0;
    expect((await get('/failed')).status).toBe(503);
    expect((await envoy.stats())['cluster.app.ext_authz.error'] ?? 0).toBe(before);
    expect((await get('/error')).status).toBe(503);
    expect((await envoy.stats())['cluster.app.ext_authz.error']).toBe(before + 1);
  });

  test('builds its x-ratelimit headers from our statuses, and forwards our headers', async () => {
    const { status, headers } = await get('/limited', { headers: { 'x-user': 'ann' } });
    expect([
      status,
      headers.get('x-ratelimit-limit'),
      headers.get('x-ratelimit-remaining'),
      headers.get('x-ratelimit-reset'),
      headers.get('retry-after'),
      headers.get('x-policy'),
    ]).toEqual([429, '5, 5;w=60;name="per-user"', '0', '2', '2', 'seven']);
  });

  test('sends in checks and log entries the attributes that the vocabulary has for every request', async () => {
    await get('/carried?x=1', { method: 'POST', body: 'hello', headers: { 'x-user': 'ann' } });
    await until('the entry', () => CARRIED.log.get('/carried'));
    const [check, log] = [CARRIED.http.get('/carried'), CARRIED.log.get('/carried')];
    const absent = (kind: 'http' | 'log', wire: Wire | undefined): string[] =>
      VOCABULARY.filter(({ carriedBy, always }) => always && carriedBy[kind] !== undefined)
        .map(({ name }) => name)
        .filter((name) => read(wire, name) === undefined);
    expect([absent('http', check), absent('log', log)]).toEqual([[], []]);
    for (const name of [
      'request.method',
      'request.path',
      'request.host',
      'request.protocol',
      'request.scheme',
      'request.id',
      'request.size',
      'source.ip',
      'source.port',
      'destination.port',
      'destination.ip',
      'context.protocol',
      'connection.mtls',
    ])
      expect([name, read(log, name)]).toEqual([name, read(check, name)]);
    expect([
      read(check, 'request.body'),
      read(check, 'destination.namespace'),
      read(check, 'destination.labels'),
    ]).toEqual([
      'hello',
      'shop',
      new Map([
        ['app', 'web'],
        ['version', 'v1'],
      ]),
    ]);
    expect([
      read(log, 'response.code'),
      read(log, 'context.node.id'),
      read(log, 'context.reporter.kind'),
      read(log, 'context.log_type'),
      read(log, 'response.flags'),
    ]).toEqual([200, 'edge-1', 'inbound', 'DownstreamEnd', []]);
  });

  test('returns the verdict in the log, also for a denial', async () => {
    await get('/no');
    const log = await until('the entry', () => CARRIED.log.get('/no'));
    expect([
      read(log, 'verdict.id'),
      read(log, 'verdict.rule'),
      read(log, 'verdict.outcome'),
      read(log, 'response.code'),
      read(log, 'response.flags'),
    ]).toEqual(['v-1', 'closed', 'deny', 451, ['UAEX']]);
    const passed = CARRIED.log.get('/carried');
    expect([read(passed, 'verdict.outcome'), read(passed, 'verdict.latency') === undefined]).toEqual(['allow', false]);
  });

  test('checks and logs connections', async () => {
    const socket = connect({ port: tcpPort, host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.write('echo');
    await once(socket, 'data');
    socket.end();
    const log = await until('the entry', () => CARRIED.tcpLog[0]);
    const absent = (kind: 'tcp' | 'tcp-log', wire: Wire | undefined): string[] =>
      VOCABULARY.filter(({ carriedBy, always }) => always && carriedBy[kind] !== undefined)
        .map(({ name }) => name)
        .filter((name) => read(wire, name) === undefined);
    expect([absent('tcp', CARRIED.tcp[0]), absent('tcp-log', log)]).toEqual([[], []]);
    expect([
      read(log, 'connection.received.bytes_total'),
      read(log, 'connection.sent.bytes_total'),
      read(log, 'context.log_type'),
      read(log, 'verdict.outcome'),
    ]).toEqual([4, 4, 'TcpConnectionEnd', 'allow']);
  });
});
