/** Envoy's access logs in JSON, as calls. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AccessLog, KEYS, meaningOf } from '../../../src/traffic/access-log.ts';
import { wiresOf } from '../../../src/traffic/recorded-wire.ts';
import { fileOf, readAll } from './recording.ts';
import { replayOf, verdictOf } from './replaying.ts';

/** Envoy Gateway's default format. */
const GATEWAY = {
  ':authority': 'shop.example:8080',
  bytes_received: 12,
  bytes_sent: 466,
  connection_termination_details: null,
  downstream_local_address: '10.244.0.14:3000',
  downstream_remote_address: '10.244.0.12:34805',
  duration: 1,
  method: 'GET',
  protocol: 'HTTP/1.1',
  requested_server_name: null,
  response_code: 200,
  response_code_details: 'via_upstream',
  response_flags: '-',
  route_name: 'httproute/default/backend/rule/0/match/0/backend',
  start_time: '2026-01-31T11:44:45.639Z',
  upstream_cluster: 'httproute/default/backend/rule/0',
  upstream_host: '10.244.0.13:3000',
  upstream_local_address: '10.244.0.14:58822',
  upstream_transport_failure_reason: null,
  'user-agent': 'curl/7.88.1',
  'x-envoy-origin-path': '/a?page=2',
  'x-envoy-upstream-service-time': null,
  'x-forwarded-for': '203.0.113.9',
  'x-request-id': 'ab1e4da7',
};
/** Istio's. */
const ISTIO = {
  authority: 'shop.example',
  bytes_received: 0,
  bytes_sent: 0,
  downstream_local_address: '[2001:db8::1]:443',
  downstream_remote_address: '[2001:db8::2]:40000',
  duration: 3,
  method: 'POST',
  path: '/b',
  protocol: 'HTTP/2',
  request_id: 'r-2',
  requested_server_name: 'shop.example',
  response_code: 403,
  response_code_details: 'ext_authz_denied',
  response_flags: 'UAEX',
  route_name: 'default',
  start_time: '2026-01-31T11:44:46.000Z',
  upstream_service_time: null,
  user_agent: 'istio',
  x_forwarded_for: '-',
};

async function readLog(entries: readonly object[], log = new AccessLog()) {
  const path = await fileOf(entries.map((entry) => JSON.stringify(entry)).join('\n'));
  return { log, ...(await readAll([path], { entryOf: log.entryOf })) };
}

describe('an entry of an access log', () => {
  test("of Envoy Gateway's format is an http call with the attributes of its request", async () => {
    const { calls, problems, log } = await readLog([GATEWAY]);
    expect(problems.lines()).toEqual([]);
    expect([...log.unknown]).toEqual([]);
    const [read] = calls;
    expect(read?.call).toMatchObject({ id: 'ab1e4da7', call: 'http', verdict: undefined });
    expect(read?.call.requests[0]?.attributes).toEqual({
      'request.method': 'GET',
      'request.path': '/a?page=2',
      'request.authority': 'shop.example:8080',
      'request.protocol': 'HTTP/1.1',
      'request.size': 12,
      'request.time': '2026-01-31T11:44:45.639Z',
      'request.headers': { 'user-agent': 'curl/7.88.1', 'x-forwarded-for': '203.0.113.9', 'x-request-id': 'ab1e4da7' },
      'source.ip': '10.244.0.12',
      'source.port': 34805,
      'destination.ip': '10.244.0.14',
      'destination.port': 3000,
    });
  });

  test("of Istio's format too, with IPv6", async () => {
    const { calls, log } = await readLog([ISTIO]);
    expect([...log.unknown]).toEqual([]);
    expect(calls[0]?.call.requests[0]?.attributes).toMatchObject({
      'request.path': '/b',
      'connection.requested_server_name': 'shop.example',
      'source.ip': '2001:db8::2',
      'source.port': 40000,
      'request.headers': { 'user-agent': 'istio', 'x-request-id': 'r-2' },
    });
  });

  test('is decided by rules as the request itself', async () => {
    const { calls } = await readLog([GATEWAY, ISTIO]);
    const replay = await replayOf(`
settings: { trustedHops: 0 }
rules:
  - name: second
    match: request.host == "shop.example" && request.query[?"page"].orValue("") == "2" && origin.ip == ip("203.0.113.9")
    deny: {}
  - { name: posts, match: request.method == "POST" && request.useragent == "istio" && source.port == 40000, deny: {} }
`);
    const verdicts: string[] = [];
    for (const { call } of calls) verdicts.push(await verdictOf(replay, call));
    expect(verdicts).toEqual(['deny by second', 'deny by posts']);
  });

  test('of a connection is a tcp call', async () => {
    const { calls } = await readLog([
      { ...ISTIO, method: null, path: null, authority: null, downstream_peer_uri_san: 'spiffe://td/ns/a/sa/b' },
    ]);
    const [read] = calls;
    if (read === undefined) throw new Error('no call');
    expect(read.call.call).toBe('tcp');
    const [wire] = wiresOf(read.call);
    expect(wire?.read('source.principal')).toBe('td/ns/a/sa/b');
    expect(wire?.read('connection.event')).toBe('open');
    expect(wire?.read('request.size')).toBeUndefined();
  });

  test('has the peer of the connection rather than the address that a header states, in any order', async () => {
    for (const entry of [
      { downstream_direct_remote_address: '10.0.0.1:1', downstream_remote_address: '203.0.113.9:0' },
      { downstream_remote_address: '203.0.113.9:0', downstream_direct_remote_address: '10.0.0.1:1' },
    ]) {
      const { calls } = await readLog([{ start_time: '2026-01-31T11:44:46Z', method: 'GET', ...entry }]);
      expect(calls[0]?.call.requests[0]?.attributes).toMatchObject({ 'source.ip': '10.0.0.1', 'source.port': 1 });
    }
  });

  test('may have keys of its own: an operator says what they mean, and others are named once', async () => {
    const own = new Map(
      [
        ['http.verb', 'request.method'],
        ['ts', 'request.time'],
        ['tenant', 'request.headers["X-Tenant"]'],
      ].map(([key = '', target = '']) => {
        const meaning = meaningOf(target);
        if (meaning === undefined) throw new Error(target);
        return [key, meaning] as const;
      }),
    );
    const entry = { ts: 1_790_000_000.5, http: { verb: 'PUT', odd: 1 }, tenant: 'a', odder: 1 };
    const { calls, log } = await readLog([entry, entry], new AccessLog(own));
    expect(calls[0]?.call.timeMs).toBe(1_790_000_000_500);
    expect(calls[0]?.call.requests[0]?.attributes).toMatchObject({
      'request.method': 'PUT',
      'request.headers': { 'x-tenant': 'a' },
    });
    expect([...log.unknown]).toEqual(['http.odd', 'odder']);
    expect(meaningOf('request.nonsense')).toBeUndefined();
  });

  test('without a time is a problem with its place', async () => {
    const { problems } = await readLog([{ method: 'GET' }]);
    expect(problems.lines()).toEqual([expect.stringContaining(':1 TRAFFIC_NOT_A_CALL start_time is missing')]);
  });
});

test('docs/replay.md names every key', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/replay.md'), 'utf8');
  expect([...KEYS.keys()].filter((key) => !page.includes(`\`${key}\``))).toEqual([]);
});
