/** The client of `sluice call`: its requests, recorded by a real server, and its answers. */
import { listen } from '../../../src/transport/index.ts';
import { create, fromBinary, toBinary, toJson, type JsonObject } from '@bufbuild/protobuf';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { callCheck, callLimit, callLog, formatAnswer } from '../../../src/cli/call/index.ts';
import { StreamAccessLogsMessageSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { CheckRequestSchema, CheckResponseSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  RateLimitResponseSchema,
} from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { GrpcError, serve, Status, type Serving } from '../transport/serving.ts';
import { viewOf } from '../../../src/transport/byte-range.ts';

let serving: Serving;
let got: JsonObject[] = [];
beforeEach(() => {
  got = [];
});

beforeAll(async () => {
  serving = await serve(listen, {
    '/envoy.service.auth.v3.Authorization/Check': {
      kind: 'unary',
      handle: (piece, context) => {
        const request = fromBinary(CheckRequestSchema, viewOf(piece));
        got.push({ ...(toJson(CheckRequestSchema, request) as JsonObject), who: context.metadata('x-who') ?? '' });
        const path = request.attributes?.request?.http?.path;
        if (path === '/fault') throw new GrpcError(Status.UNAVAILABLE, 'not now');
        return toBinary(
          CheckResponseSchema,
          create(
            CheckResponseSchema,
            path === '/no'
              ? {
                  status: { code: 7 },
                  httpResponse: { case: 'deniedResponse', value: { status: { code: 403 }, body: 'no' } },
                }
              : { status: { code: 0 } },
          ),
        );
      },
    },
    '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit': {
      kind: 'unary',
      handle: (piece) => {
        const request = fromBinary(RateLimitRequestSchema, viewOf(piece));
        got.push(toJson(RateLimitRequestSchema, request) as JsonObject);
        const overallCode = request.domain === 'full' ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK;
        return toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, { overallCode }));
      },
    },
    '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs': {
      kind: 'stream',
      handle: async function* logs(requests) {
        for await (const bytes of requests) {
          got.push(
            toJson(StreamAccessLogsMessageSchema, fromBinary(StreamAccessLogsMessageSchema, bytes)) as JsonObject,
          );
          if (bytes.length === 0) yield bytes;
        }
      },
    },
  });
});
afterAll(() => serving.stop());

describe('check', () => {
  test('by attribute names, flat or nested; what Envoy always sends is added', async () => {
    const request: unknown = parse(`
      request.method: DELETE
      request: { path: /a?b=1, headers: { X-Role: admin }, id: abc }
      source.ip: 1.2.3.4
      source.principal: spiffe://cluster.local/ns/shop/sa/web
      destination: { port: 8080, labels: { app: web }, namespace: shop }
      connection.requested_server_name: shop.example
      metadata: { my.ns: { tier: gold } }
      contextExtension: { tier: silver }`);
    const answer = await callCheck(serving.address, request, { metadata: { 'x-who': 'ann' } });
    expect(answer).toMatchObject({ kind: 'check', outcome: 'allow', grpc: { code: 0, name: 'OK' } });
    expect(got[0]).toMatchObject({
      who: 'ann',
      attributes: {
        source: {
          address: { socketAddress: { address: '1.2.3.4' } },
          principal: 'spiffe://cluster.local/ns/shop/sa/web',
        },
        destination: { address: { socketAddress: { address: '127.0.0.1', portValue: 8080 } }, labels: { app: 'web' } },
        request: {
          http: {
            method: 'DELETE',
            path: '/a?b=1',
            host: 'localhost',
            scheme: 'http',
            protocol: 'HTTP/1.1',
            headers: { 'x-role': 'admin', 'x-request-id': 'abc' },
          },
        },
        contextExtensions: { tier: 'silver', 'destination.namespace': 'shop' },
        metadataContext: { filterMetadata: { 'my.ns': { tier: 'gold' } } },
        tlsSession: { sni: 'shop.example' },
      },
    });
  });

  test('url_path and query make a path; origin.ip is the peer where no peer is given', async () => {
    await callCheck(serving.address, {
      'request.url_path': '/a',
      'request.query': { q: 'x y' },
      'origin.ip': '203.0.113.9',
    });
    expect(got[0]).toMatchObject({
      attributes: {
        source: { address: { socketAddress: { address: '203.0.113.9' } } },
        request: { http: { path: '/a?q=x+y' } },
      },
    });
  });

  test('in the form of the network filter', async () => {
    await callCheck(serving.address, { call: 'tcp', 'source.ip': '1.2.3.4' });
    expect(got[0]).toMatchObject({ attributes: { source: { address: { socketAddress: { address: '1.2.3.4' } } } } });
    expect(JSON.stringify(got[0])).not.toContain('http');
    await expect(callCheck(serving.address, { call: 'tcp', 'request.path': '/' })).rejects.toThrow(
      'request.path is not carried by a tcp check',
    );
  });

  test("in the message's own form, nothing added", async () => {
    await callCheck(serving.address, { attributes: { request: { http: { method: 'PURGE' } } } });
    expect(got[0]).toEqual({ who: '', attributes: { request: { http: { method: 'PURGE' } } } });
  });

  test('a denial is an answer, and is printed as one', async () => {
    const answer = await callCheck(serving.address, { 'request.path': '/no' });
    expect(answer).toMatchObject({
      outcome: 'deny',
      response: { status: { code: 7 }, deniedResponse: { status: { code: 'Forbidden' }, body: 'no' } },
    });
    expect(formatAnswer(answer)).toMatch(/^denied \([\d.]+ ms\)\nstatus:\n {2}code: 7\n/);
  });

  test('a gRPC error is an answer of its own kind', async () => {
    const answer = await callCheck(serving.address, { 'request.path': '/fault' });
    expect(answer).toMatchObject({
      outcome: 'error',
      grpc: { code: 14, name: 'UNAVAILABLE', message: 'not now' },
      response: undefined,
    });
    expect(formatAnswer(answer)).toMatch(/^no answer: UNAVAILABLE: not now \(/);
  });

  test('an unreachable server is an answer too', async () => {
    expect(await callCheck('127.0.0.1:1', {}, { timeoutMs: 20_000 })).toMatchObject({
      outcome: 'error',
      grpc: { name: 'UNAVAILABLE' },
    });
  });

  test.each([
    [
      'a name that is nearly one',
      { 'request.methd': 'GET' },
      'request.methd is not an attribute; did you mean request.method?',
    ],
    ['what only a log carries', { 'response.code': 200 }, 'response.code is not carried by ext_authz'],
    [
      'what a policy names itself',
      { 'my.tier': 'gold' },
      'my.tier is declared by the policy; write its carrier instead',
    ],
    ['a list for text', { 'request.path': ['/'] }, 'request.path is ["/"]; expected text'],
    [
      'a type that protobuf refuses',
      { 'source.port': 'many' },
      'the request is not a valid envoy.service.auth.v3.CheckRequest:',
    ],
    [
      'an own form with a wrong field',
      { attributes: { sauce: {} } },
      'the request is not a valid envoy.service.auth.v3.CheckRequest:',
    ],
    ['no map', 'GET /', 'the request is not a map of names and values'],
  ])('%s is refused before anything is sent', async (_name, request, message) => {
    await expect(callCheck(serving.address, request)).rejects.toThrow(message);
    expect(got).toEqual([]);
  });
});

describe('limit', () => {
  test('in the short form', async () => {
    const answer = await callLimit(
      serving.address,
      parse('{ domain: full, descriptors: [[{ user: ann }, { path: /a }], { n: 7 }], hits: 3 }') as unknown,
    );
    expect(answer).toMatchObject({ kind: 'limit', outcome: 'over', response: { overallCode: 'OVER_LIMIT' } });
    expect(got[0]).toEqual({
      domain: 'full',
      hitsAddend: 3,
      descriptors: [
        {
          entries: [
            { key: 'user', value: 'ann' },
            { key: 'path', value: '/a' },
          ],
        },
        { entries: [{ key: 'n', value: '7' }] },
      ],
    });
  });

  test('by attributes, and in its own form', async () => {
    await callLimit(serving.address, { ratelimit: { domain: 'shop', descriptor: { user: 'ann' }, hits: 0 } });
    await callLimit(serving.address, {
      domain: 'shop',
      descriptors: [{ entries: [{ key: 'user', value: 'ann' }], hitsAddend: '0' }],
    });
    const expected = { domain: 'shop', descriptors: [{ entries: [{ key: 'user', value: 'ann' }], hitsAddend: '0' }] };
    expect(got).toEqual([expected, expected]);
  });

  test('errors name the key', async () => {
    await expect(callLimit(serving.address, { domian: 'shop', descriptors: [] })).rejects.toThrow(
      'domian is not a key of a limit request; did you mean domain?',
    );
    await expect(callLimit(serving.address, { domain: 'shop', descriptors: ['user'] })).rejects.toThrow(
      'a descriptor is "user"',
    );
  });
});

describe('log', () => {
  test('an entry by attribute names; the rest as Envoy sends it at the end of a request', async () => {
    const answer = await callLog(
      serving.address,
      parse(`
      request: { path: /a, method: POST, headers: { X-A: b } }
      response: { code: 503, duration: 1500ms, flags: [UH, UAEX] }
      source.principal: cluster.local/ns/shop/sa/web
      verdict.rule: no-deletes
      context.node.cluster: edge
      customTag: { tier: gold }`) as unknown,
    );
    expect(answer).toMatchObject({ kind: 'log', outcome: 'taken', grpc: { code: 0 } });
    expect(formatAnswer(answer)).toMatch(/^taken \([\d.]+ ms\)\n$/);
    expect(got[0]).toMatchObject({
      identifier: { node: { id: 'sluice-call', cluster: 'edge' }, logName: 'sluice-call' },
      httpLogs: {
        logEntry: [
          {
            request: { requestMethod: 'POST', path: '/a', requestHeaders: { 'x-a': 'b' } },
            response: { responseCode: 503 },
            protocolVersion: 'HTTP11',
            commonProperties: {
              duration: '1.500s',
              accessLogType: 'DownstreamEnd',
              customTags: { tier: 'gold' },
              responseFlags: { noHealthyUpstream: true, unauthorizedDetails: { reason: 'EXTERNAL_SERVICE' } },
              tlsProperties: {
                peerCertificateProperties: { subjectAltName: [{ uri: 'spiffe://cluster.local/ns/shop/sa/web' }] },
              },
              metadata: { filterMetadata: { 'envoy.filters.http.ext_authz': { sluice: { rule: 'no-deletes' } } } },
            },
          },
        ],
      },
    });
  });

  test('an entry of a TCP connection, and a message in its own form', async () => {
    await callLog(serving.address, { call: 'tcp-log', 'connection.sent.bytes': 12 });
    await callLog(serving.address, { tcpLogs: { logEntry: [{}, {}] } });
    expect(got[0]).toMatchObject({
      tcpLogs: {
        logEntry: [
          { connectionProperties: { sentBytes: '12' }, commonProperties: { accessLogType: 'TcpConnectionEnd' } },
        ],
      },
    });
    expect(got[1]).toEqual({ tcpLogs: { logEntry: [{}, {}] } });
  });

  test('errors name the key', async () => {
    await expect(callLog(serving.address, { 'response.duration': 7 })).rejects.toThrow(
      'response.duration is 7; expected a duration such as 150ms',
    );
    await expect(callLog(serving.address, { 'response.flags': ['XX'] })).rejects.toThrow(
      'response.flags contains XX; expected some of LH, UH',
    );
  });
});
