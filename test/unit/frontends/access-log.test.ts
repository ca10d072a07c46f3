import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test, vi } from 'vitest';
import type { Wire } from '../../../src/attributes/bag.ts';
import { parseIp } from '../../../src/attributes/network.ts';
import { Duration, Timestamp, type Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import type { Engine } from '../../../src/core/call.ts';
import { HttpEntryWire } from '../../../src/frontends/access-log/http-entry-wire.ts';
import { LogOrigin } from '../../../src/frontends/log-origin.ts';
import { TcpEntryWire } from '../../../src/frontends/access-log/tcp-entry-wire.ts';
import { accessLogMethods, RefusedEntries } from '../../../src/frontends/index.ts';
import {
  AccessLogType,
  HTTPAccessLogEntrySchema,
  ResponseFlagsSchema,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { StreamAccessLogsMessageSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { shortFlags } from '../../../src/frontends/access-log/response-flags.ts';
import { Status } from '../../../src/transport/transport.ts';
import { fixedEngine } from '../../parts/fixed-engine.ts';
import { all, serve, TRANSPORTS, waitUntil } from '../transport/serving.ts';
import { readerOf, stream } from './call.ts';
import { FORWARDED_CERTIFICATE, httpEntry, identifier, tcpEntry } from './messages.ts';

const ORIGIN = new LogOrigin(identifier());
const outbound = (entry = httpEntry()): HttpEntryWire => {
  if (entry.commonProperties !== undefined)
    entry.commonProperties.upstreamCluster = 'outbound|80||api.other.svc.cluster.local';
  return new HttpEntryWire(entry, ORIGIN);
};

describe('the attributes of a log entry', () => {
  for (const [kind, wire] of [
    ['log', new HttpEntryWire(httpEntry(), ORIGIN)],
    ['tcp-log', new TcpEntryWire(tcpEntry(), ORIGIN)],
  ] as const) {
    const read = readerOf(wire);
    /** Of an outbound proxy only; of an entry without Envoy's own span. */
    const elsewhere = new Set(['source.owner', 'trace.parent_span_id']);
    const rows = VOCABULARY.filter(({ name, carriedBy }) => carriedBy[kind] !== undefined && !elsewhere.has(name));
    test.each(rows.map(({ name }) => name))(`${kind} carries %s`, (name) => {
      expect(read(name)).toBeDefined();
    });
  }

  test('http, attribute by attribute', () => {
    const read = readerOf(new HttpEntryWire(httpEntry(), ORIGIN));
    const expected: Record<string, Value> = {
      'request.method': 'POST',
      'request.path': '/a//b?x=1',
      'request.url_path': '/a/b',
      'request.host': 'shop.example',
      'request.protocol': 'HTTP/2',
      'request.size': 5,
      'request.total_size': 105,
      'request.headers': new Map([
        ['x-api-key', 'k'],
        ['x-forwarded-client-cert', FORWARDED_CERTIFICATE],
        ['traceparent', `00-${'3'.repeat(32)}-${'4'.repeat(16)}-01`],
        ['user-agent', 'curl'],
        ['referer', 'https://r'],
        ['x-forwarded-for', '203.0.113.9'],
        ['x-request-id', 'r-1'],
      ]),
      'request.id': 'r-1',
      'response.code': 503,
      'response.flags': ['UT', 'UAEX'],
      'context.proxy_error_code': 'UT,UAEX',
      'context.auth_failure_reason': 'EXTERNAL_SERVICE',
      'response.total_size': 42,
      'response.duration': new Duration(1, 250_000_000),
      'response.time': new Timestamp(1_700_000_002, 150_000_000),
      'response.backend_latency': new Duration(1, 200_000_000),
      'response.grpc_status': '14',
      'response.grpc_message': 'down',
      'source.principal': 'cluster.local/ns/shop/sa/web',
      'source.namespace': 'front',
      'source.serviceAccount': 'web',
      'source.workload.name': 'web',
      'source.labels': new Map([['app', 'web']]),
      'source.spiffe.serviceAccount': 'web',
      'connection.uri_sans_peer_certificate': ['spiffe://cluster.local/ns/shop/sa/web'],
      'origin.spiffe.id': 'spiffe://cluster.local/ns/phone/sa/app',
      'destination.principal': 'cluster.local/ns/shop/sa/shop',
      'destination.namespace': 'prod',
      'destination.name': 'shop-1',
      'destination.labels': new Map([
        ['app', 'shop'],
        ['version', 'v2'],
        ['service.istio.io/canonical-name', 'shop-service'],
        ['service.istio.io/canonical-revision', 'r2'],
      ]),
      'source.app': 'web',
      'source.version': 'v1',
      'source.canonical.service': 'web-service',
      'source.canonical.revision': 'r1',
      'source.cluster': 'east',
      'destination.app': 'shop',
      'destination.version': 'v2',
      'destination.canonical.service': 'shop-service',
      'destination.canonical.revision': 'r2',
      'destination.cluster': 'north',
      'request.grpc_messages': 3,
      'response.grpc_messages': 150,
      'destination.service.host': 'shop.prod.svc.cluster.local',
      'destination.service.name': 'shop',
      'destination.service.namespace': 'prod',
      'connection.mtls': true,
      'connection.tls_version': 'TLSv1.3',
      'connection.tls_cipher_suite': 4865,
      'connection.id': 'stream-1',
      'context.reporter.kind': 'inbound',
      'context.reporter.uid': 'edge-1',
      'context.proxy_version': '1.40.2',
      'context.log_name': 'http.inbound',
      'context.log_type': 'DownstreamEnd',
      'context.node.zone': 'a',
      'context.route_name': 'route-1',
      'context.upstream.port': 9000,
      'verdict.id': 'v-1',
      'verdict.rule': 'closed',
      'verdict.outcome': 'deny',
      'verdict.latency': new Duration(0, 3_000_000),
    };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, read(name)]))).toEqual(expected);
    expect(['source.ip', 'origin.ip', 'destination.ip', 'context.upstream.ip'].map(read)).toEqual(
      ['10.0.0.7', '203.0.113.9', '10.0.0.1', '10.0.0.2'].map(parseIp),
    );
  });

  test('tcp: totals beyond 2^53 stay exact; the PROXY protocol tells the origin', () => {
    const read = readerOf(new TcpEntryWire(tcpEntry(), ORIGIN));
    expect([
      read('connection.received.bytes_total'),
      read('connection.sent.bytes'),
      read('connection.event'),
      read('context.protocol'),
      read('request.method'),
    ]).toEqual([9_007_199_254_740_993n, 7, 'close', 'tcp', undefined]);
    expect([read('origin.ip'), read('connection.duration')]).toEqual([
      parseIp('203.0.113.9'),
      new Duration(1, 250_000_000),
    ]);
  });

  test('an outbound proxy is the source itself', () => {
    const read = readerOf(outbound());
    expect([
      read('context.reporter.kind'),
      read('source.name'),
      read('source.owner'),
      read('destination.name'),
      read('destination.service.name'),
      read('source.canonical.service'),
      read('source.cluster'),
      read('destination.workload.name'),
      read('destination.canonical.service'),
      read('destination.cluster'),
      read('destination.version'),
      read('destination.identity'),
    ]).toEqual(
      ['outbound', 'shop-1', 'deployment/shop', undefined, 'api', 'shop-service', 'north', 'api', 'api-service'].concat(
        ['west', undefined, 'spiffe://cluster.local/ns/other/sa/api'] as string[],
      ),
    );
  });

  test('a waypoint is neither the source nor the destination', () => {
    const origin = new LogOrigin(identifier());
    if (origin.node !== undefined) origin.node.id = 'waypoint~10.0.0.9~wp-1.shop~cluster.local';
    const entry = httpEntry();
    if (entry.commonProperties !== undefined)
      entry.commonProperties.upstreamCluster = 'inbound-vip|80|http|api.other.svc.cluster.local';
    const read = readerOf(new HttpEntryWire(entry, origin));
    expect([
      read('context.reporter.kind'),
      read('source.workload.name'),
      read('destination.workload.name'),
      read('destination.service.name'),
    ]).toEqual(['inbound', 'web', 'api', 'api']);
  });

  test.each([
    ['InboundPassthroughClusterIpv4', 'inbound'],
    ['PassthroughCluster', 'outbound'],
    ['BlackHoleCluster', 'outbound'],
    ['inbound|8080||', 'inbound'],
    ['other', 'inbound'], // by the name of the log
  ])('by its cluster %s a proxy is %s', (upstreamCluster, kind) => {
    const entry = create(HTTPAccessLogEntrySchema, { commonProperties: { upstreamCluster } });
    expect(readerOf(new HttpEntryWire(entry, ORIGIN))('context.reporter.kind')).toBe(kind);
  });

  test('an empty entry has maps, zeros and no names', () => {
    const read = readerOf(
      new HttpEntryWire(
        create(HTTPAccessLogEntrySchema, { commonProperties: { tlsProperties: { peerCertificateProperties: {} } } }),
        new LogOrigin(undefined),
      ),
    );
    expect([
      read('response.code'),
      read('response.flags'),
      read('context.proxy_error_code'),
      read('request.headers'),
      read('response.duration'),
      read('connection.mtls'),
    ]).toEqual([0, [], '-', new Map(), undefined, false]);
    for (const name of [
      'request.method',
      'request.path',
      'source.ip',
      'source.principal',
      'context.log_type',
      'verdict.rule',
      'context.reporter.kind',
      'response.time',
    ])
      expect(read(name), name).toBeUndefined();
  });

  test('carries what the operator names', () => {
    const wire = new HttpEntryWire(httpEntry(), ORIGIN);
    expect(wire.carried({ kind: 'customTag', name: 'tag' })).toBe('value');
    expect(wire.carried({ kind: 'filterState', name: 'word' })).toBe('said');
    expect(wire.carried({ kind: 'filterState', name: 'none' })).toBeUndefined();
    expect(wire.carried({ kind: 'header', name: 'X-Api-Key' })).toBe('k');
    expect(
      wire.carried({ kind: 'metadata', namespace: 'envoy.filters.http.ext_authz', path: ['sluice', 'rule'] }),
    ).toBe('closed');
  });

  test('every flag has a short name of its own', () => {
    const fields = ResponseFlagsSchema.fields.map(({ localName, fieldKind }) => [
      localName,
      fieldKind === 'message' ? {} : true,
    ]);
    const all = shortFlags(
      create(ResponseFlagsSchema, Object.fromEntries(fields) as MessageInitShape<typeof ResponseFlagsSchema>),
    );
    expect(new Set(all).size).toBe(ResponseFlagsSchema.fields.length);
  });
});

describe('a stream of log entries', () => {
  type Message = MessageInitShape<typeof StreamAccessLogsMessageSchema>;
  const http = (...types: AccessLogType[]): Message => ({
    logEntries: {
      case: 'httpLogs',
      value: { logEntry: types.map((accessLogType) => ({ commonProperties: { accessLogType } })) },
    },
  });
  const bytes = (message: Message): Uint8Array =>
    toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, message));

  async function tell(
    messages: readonly Uint8Array[],
    report: Engine['report'],
    refused = new RefusedEntries(() => {}),
  ): Promise<{ answers: number; read: number; error: unknown }> {
    let read = 0;
    async function* sent(): AsyncGenerator<Uint8Array, void, undefined> {
      for (const message of messages) {
        read += 1;
        yield message;
      }
    }
    let answers = 0;
    try {
      for await (const answer of stream(
        accessLogMethods(fixedEngine({ report }), { onRefusedEntry: (why) => refused.refuse(why) }),
      )(sent()))
        answers += answer.length === 0 ? 1 : 0;
    } catch (error) {
      return { answers, read, error };
    }
    return { answers, read, error: undefined };
  }

  test('the next message is read when the entries of the last one are safe', async () => {
    const safe = Promise.withResolvers<void>();
    let reported = 0;
    let read = 0;
    const methods = accessLogMethods(fixedEngine({ report: () => void reported++, whenSafe: () => safe.promise }));
    async function* sent(): AsyncGenerator<Uint8Array, void, undefined> {
      for (let message = 0; message < 2; message++) {
        read++;
        yield bytes({ logEntries: { case: 'httpLogs', value: { logEntry: [{}, {}] } } });
      }
    }
    const ended = (async () => {
      for await (const answer of stream(methods)(sent())) expect(answer).toHaveLength(0);
    })();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([read, reported]).toEqual([1, 2]);
    safe.resolve();
    await ended;
    expect([read, reported]).toEqual([2, 4]);
  });

  test('the origin is sent once and holds for the stream; one answer at its end', async () => {
    const seen: [string, Value | undefined][] = [];
    const note = (call: string, wire: Wire): undefined => void seen.push([call, readerOf(wire)('context.node.id')]);
    const tcp: Message = { logEntries: { case: 'tcpLogs', value: { logEntry: [{}] } } };
    expect(
      await tell([bytes({ identifier: identifier(), ...http(6) }), bytes(http(6)), bytes(tcp)], note),
    ).toMatchObject({ answers: 1, error: undefined });
    expect(seen).toEqual([
      ['log', 'edge-1'],
      ['log', 'edge-1'],
      ['tcp-log', 'edge-1'],
    ]);
  });

  test('entries of what has not ended are interim calls, and each entry has its phase', async () => {
    const calls: unknown[][] = [];
    const all = Object.values(AccessLogType);
    await tell([bytes(http(...all))], (call, wire) => {
      const read = readerOf(wire);
      calls.push([read('context.log_type'), call, read('context.log_phase')]);
    });
    expect(calls).toEqual([
      [undefined, 'log', 'end'],
      ['TcpUpstreamConnected', 'log-interim', 'established'],
      ['TcpPeriodic', 'log-interim', 'periodic'],
      ['TcpConnectionEnd', 'log', 'end'],
      ['DownstreamStart', 'log-interim', 'start'],
      ['DownstreamPeriodic', 'log-interim', 'periodic'],
      ['DownstreamEnd', 'log', 'end'],
      ['UpstreamPoolReady', 'log-interim', 'established'],
      ['UpstreamPeriodic', 'log-interim', 'periodic'],
      ['UpstreamEnd', 'log', 'try'],
      ['DownstreamTunnelSuccessfullyEstablished', 'log-interim', 'established'],
      ['UdpTunnelUpstreamConnected', 'log-interim', 'established'],
      ['UdpPeriodic', 'log-interim', 'periodic'],
      ['UdpSessionEnd', 'log', 'end'],
      ['TcpConnectionStart', 'log-interim', 'start'],
    ]);
  });

  test('an Envoy that sends no types marks its interim entries, and a type that is not known is not taken for an end', async () => {
    const calls: string[] = [];
    const note = (call: string): undefined => void calls.push(call);
    const entries = [
      { intermediateLogEntry: true },
      { intermediateLogEntry: false },
      { accessLogType: 99 as AccessLogType },
    ];
    const logEntry = entries.map((commonProperties) => ({ commonProperties }));
    await tell([bytes({ logEntries: { case: 'tcpLogs', value: { logEntry } } })], note);
    expect(calls).toEqual(['tcp-log-interim', 'tcp-log', 'tcp-log-interim']);
  });

  test('a malformed entry is dropped and counted; the others of its message and of the stream are reported', async () => {
    const entry = (...encoded: number[]): number[] => [0x0a, encoded.length, ...encoded];
    const ended = (route: string): number[] =>
      entry(0x0a, 6 + route.length, 0x9a, 0x01, route.length, ...Buffer.from(route), 0x88, 0x02, 6); // route_name, access_log_type
    const broken = [entry(0x0a, 0x7f), entry(0x0a, 2, 0x7a, 0x7f), entry(0xff)];
    const logs = [...ended('a'), ...broken.flat(), ...ended('b')];
    const message = Uint8Array.from([0x12, logs.length, ...logs]);
    const warned: unknown[] = [];
    let nowMs = 0;
    const refused = new RefusedEntries(
      (_, { refused: sofar }) => warned.push(sofar),
      () => nowMs,
    );
    const routes: unknown[] = [];
    const note = (_: string, wire: Wire): undefined => void routes.push(readerOf(wire)('context.route_name'));
    expect(await tell([message, bytes(http(6)), message], note, refused)).toMatchObject({
      answers: 1,
      error: undefined,
    });
    expect([routes, refused.total, warned]).toEqual([['a', 'b', undefined, 'a', 'b'], 6, [1]]);
    nowMs = 60_000;
    await tell([message], note, refused);
    expect([refused.total, warned]).toEqual([9, [1, 7]]);
  });

  test('a malformed message ends the stream and is counted; entries before it stay reported', async () => {
    let reports = 0;
    const refused = new RefusedEntries(() => {});
    const { read, error, answers } = await tell(
      [bytes(http(6)), new Uint8Array([0x12, 0x7f]), bytes(http(6))],
      () => void (reports += 1),
      refused,
    );
    expect(refused.total).toBe(1);
    expect([reports, read, answers]).toEqual([1, 2, 0]);
    expect(error).toMatchObject({ code: Status.INVALID_ARGUMENT });
  });

  test.each(TRANSPORTS)(
    'a drain over %s ends a stream with OK and reports all that has arrived, though the queue is full',
    async (_transport, listen) => {
      let reports = 0;
      const report = (): Promise<void> => {
        reports++;
        return new Promise(() => {});
      };
      const methods = accessLogMethods(fixedEngine({ report }));
      const serving = await serve(listen, Object.fromEntries(methods));
      const messages = async function* messages(): AsyncGenerator<Uint8Array> {
        for (let message = 0; message < 3; message++) yield bytes(http(6, 6));
        await new Promise(() => {});
      };
      const answers = all(
        serving.client.stream('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs', messages()),
      );
      await waitUntil(() => reports === 1, 'the first entry is reported');
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      }); // for the others to come
      await serving.transport.drain(1000);
      expect([await answers, reports]).toEqual([[''], 6]);
      serving.client.close();
      expect(serving.faults).toEqual([]);
    },
  );

  test('thirty streams together hold the event loop no longer than one, and all their entries are reported', async () => {
    const [streams, messages, perMessage] = [30, 5, 100];
    const message = bytes(http(...Array.from({ length: perMessage }, () => AccessLogType.DownstreamEnd)));
    let reports = 0;
    const told = Promise.all(
      Array.from({ length: streams }, () =>
        tell(
          Array.from({ length: messages }, () => message),
          () => {
            reports++;
            for (const untilMs = performance.now() + 0.02; performance.now() < untilMs;);
            return undefined;
          },
        ),
      ),
    );
    const turns: number[] = [];
    for (let before = 0; reports < streams * messages * perMessage;) {
      await new Promise((later) => void setImmediate(later));
      turns.push(reports - before);
      before = reports;
    }
    // A slice of 1 ms is at most 50 of these entries; the clock is read after each fourth. By slices of their own they take 1500 and more.
    expect(Math.max(...turns)).toBeLessThanOrEqual(2 * (50 + 4));
    expect((await told).map(({ answers }) => answers)).toEqual(Array.from({ length: streams }, () => 1));
    expect(reports).toBe(streams * messages * perMessage);
  });

  test('a full engine delays the sender', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let reports = 0;
    let done = false;
    const telling = tell([bytes(http(6, 6)), bytes(http(6))], () => {
      reports += 1;
      return reports === 1 ? promise : undefined;
    }).then((told) => {
      done = true;
      return told;
    });
    await vi.waitFor(() => expect(reports).toBe(1));
    await new Promise((later) => void setImmediate(later));
    expect([reports, done]).toEqual([1, false]);
    resolve();
    expect(await telling).toMatchObject({ read: 2, answers: 1 });
    expect(reports).toBe(3);
  });
});
