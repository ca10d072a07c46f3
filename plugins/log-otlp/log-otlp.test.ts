import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Rejected, type ReportEntry, type Shape, Unavailable } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { makeAuthority } from '../../test/parts/certificates.ts';
import { type Collector, retryStatus, startCollector } from '../../test/parts/otlp-collector.ts';
import adapter from './adapter.ts';

describe.each(['http', 'grpc'] as const)('over %s', (protocol) => {
  let collector: Collector;
  beforeAll(async () => {
    collector = await startCollector(protocol);
  });
  afterAll(() => collector.stop());

  let marks = 0;
  testAdapter(adapter, {
    runner: { describe, test },
    config: () => ({ url: collector.url, protocol, resource: { mark: String(++marks) } }),
    unreachable: { url: 'http://127.0.0.1:1', protocol },
    badConfigs: [
      { config: { protocol }, says: /url: Invalid input/ },
      { config: { url: 'tcp://a', protocol }, says: /url: expected http/ },
      { config: { url: 'https://a', protocol, tls: { ca: 'missing.pem' } }, says: /missing\.pem/ },
    ],
    report: {
      input: (at) => ({ 'url.path': `/${at}`, code: at }),
      read: () =>
        Promise.resolve(
          collector.logs
            .filter(({ resource }) => resource['mark'] === String(marks))
            .map(({ attributes: { 'log.record.uid': _uid, ...attributes } }) => attributes),
        ),
    },
  });
});

async function opened(protocol: 'http' | 'grpc', config: object = {}) {
  const collector = await startCollector(protocol);
  const handler = await openForTest(adapter, { config: { url: collector.url, protocol, ...config } });
  onTestFinished(async () => {
    await handler.close();
    await collector.stop();
  });
  const sinkOf = (input: Shape, params: object = {}): unknown =>
    handler.handler.sink?.({ rule: 'r', input, params: adapter.serves.report?.params?.parse(params) });
  const write = async (entries: readonly ReportEntry[]): Promise<void> => {
    await handler.handler.write?.(entries, testCall(3000));
  };
  return { ...handler, collector, sinkOf, write };
}
const entriesOf = (sink: unknown, count: number, input: (at: number) => object = () => ({})): ReportEntry[] =>
  Array.from({ length: count }, (_, at) => ({ sink, id: `id-${at}`, timeMs: 1e12 + at, input: { ...input(at) } }));

test('a record has its time, body, severity, trace, resource and typed attributes', async () => {
  const { collector, sinkOf, write } = await opened('http', { resource: { 'deployment.environment.name': 'test' } });
  const sink = sinkOf(
    {
      body: 'string',
      severity: 'string',
      time: 'timestamp',
      trace_id: 'string',
      span_id: 'string',
      trace_sampled: 'bool',
      'resource.service.name': 'string',
      'http.response.status_code': 'int',
      ratio: 'double',
      took: 'duration',
      ok: 'bool',
      tags: 'list<string>',
      labels: 'map<string>',
      raw: 'bytes',
      below: 'int',
      absent: 'string?',
    },
    { eventName: 'call' },
  );
  const input = {
    body: 'GET / 200',
    severity: 'ERROR',
    time: new Date(1_700_000_000_123),
    trace_id: 'abcdef0123456789',
    span_id: '00f067aa0ba902b7',
    trace_sampled: true,
    'resource.service.name': 'ratings',
    'http.response.status_code': 200,
    ratio: 0.5,
    took: 1500,
    ok: true,
    tags: ['a', 'ü'],
    labels: new Map([['k', 'v']]),
    raw: Buffer.from('xyz'),
    below: -7,
  };
  await write([{ sink, id: 'k3-1', timeMs: 1e12, input }]);
  expect(collector.logs).toEqual([
    {
      timeMs: 1_700_000_000_123,
      observedMs: expect.any(Number) as number,
      severity: 'ERROR',
      severityNumber: 17,
      body: 'GET / 200',
      eventName: 'call',
      traceId: '0000000000000000abcdef0123456789',
      spanId: '00f067aa0ba902b7',
      flags: 1,
      attributes: {
        'log.record.uid': 'k3-1',
        'http.response.status_code': 200,
        ratio: 0.5,
        took: 1.5,
        ok: true,
        tags: ['a', 'ü'],
        labels: { k: 'v' },
        raw: 'xyz',
        below: -7,
      },
      resource: { 'service.name': 'ratings', 'deployment.environment.name': 'test' },
    },
  ]);
  expect(collector.headers[0]).toMatchObject({ path: '/v1/logs', 'content-encoding': 'gzip' });
});

test('records are grouped by their resource, and split into requests of bounded size', async () => {
  const { collector, sinkOf, write } = await opened('grpc', { maxRequestBytes: 10_000 });
  const sink = sinkOf({ 'resource.service.name': 'string', text: 'string' });
  await write(entriesOf(sink, 100, (at) => ({ 'resource.service.name': `s${at % 2}`, text: 'x'.repeat(500) })));
  expect(collector.logs.length).toBe(100);
  expect(collector.requests.length).toBeGreaterThan(5);
  expect(new Set(collector.logs.map(({ resource }) => resource['service.name']))).toEqual(new Set(['s0', 's1']));
});

test('a record above the bound is rejected alone', async () => {
  const { collector, sinkOf, write } = await opened('http', { maxRequestBytes: 2000 });
  const entries = entriesOf(sinkOf({ text: 'string' }), 3, (at) => ({ text: 'x'.repeat(at === 1 ? 3000 : 10) }));
  await expect(write(entries)).rejects.toMatchObject({ name: 'Rejected', entries: [1] });
  expect(collector.logs.length).toBe(2);
});

test.each([
  ['http', { status: 413 }],
  ['grpc', { code: 8, says: 'grpc: received message larger than max (5000 vs. 4000)' }],
  ['grpc', { code: 11, says: 'Error, decoded message length too large: found 5000 bytes, the limit is: 4000 bytes' }],
] as const)(
  'a request that is too large for the collector is halved, down to the record, over %s of %j',
  async (protocol, tooLarge) => {
    const { collector, sinkOf, write } = await opened(protocol);
    collector.answer = (_, bytes) => (bytes > 4000 ? tooLarge : {});
    const entries = entriesOf(sinkOf({ text: 'string' }), 40, (at) => ({ text: 'x'.repeat(at === 17 ? 5000 : 200) }));
    await expect(write(entries)).rejects.toMatchObject({ name: 'Rejected', entries: [17] });
    expect(collector.logs.map(({ attributes }) => attributes['log.record.uid'])).toEqual(
      entries.map(({ id }) => id).filter((id) => id !== 'id-17'),
    );
  },
);

test('a collector that is exhausted, and does not say when it may be asked again, is not asked for halves', async () => {
  const { collector, sinkOf, write } = await opened('grpc');
  let requests = 0;
  collector.answer = () => (requests++, { code: 8, says: 'quota exceeded' });
  await expect(write(entriesOf(sinkOf({}), 500))).rejects.toMatchObject({
    name: 'Rejected',
    message: expect.stringMatching(/gRPC status 8: quota exceeded/) as string,
  });
  expect(requests).toBe(1);
});

describe('an answer', () => {
  test.each([
    ['http', { status: 503, headers: { 'retry-after': '7' } }, 7000, /it answered 503/],
    ['http', { status: 429 }, 0, /it answered 429/],
    ['http', { status: 401 }, 0, /it answered 401; check url and headers of the handler/],
    ['grpc', { code: 14, details: retryStatus(14, 3) }, 3000, /gRPC status 14/],
    ['grpc', { code: 8, details: retryStatus(8, 5) }, 5000, /gRPC status 8/],
    ['grpc', { code: 16 }, 0, /gRPC status 16: no; check url/],
  ] as const)('over %s of %j is retried, after its delay', async (protocol, answer, retryAfterMs, says) => {
    const { collector, sinkOf, write } = await opened(protocol);
    collector.answer = () => answer;
    const error: unknown = await write(entriesOf(sinkOf({}), 2)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Unavailable);
    expect(error).toMatchObject({ retryAfterMs, message: expect.stringMatching(says) as string });
  });

  test.each([
    ['http', { status: 400 }],
    ['grpc', { code: 3 }],
    ['grpc', { code: 13 }],
  ] as const)('over %s of %j is not retried', async (protocol, answer) => {
    const { collector, sinkOf, write } = await opened(protocol);
    collector.answer = () => answer;
    const error: unknown = await write(entriesOf(sinkOf({}), 2)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Rejected);
    expect(error).toMatchObject({ entries: [0, 1] });
  });

  test('of partial success is counted and logged, and not retried', async () => {
    const { collector, sinkOf, write, logged } = await opened('http');
    collector.answer = () => ({ partial: { rejected: 2, message: 'too old' } });
    await write(entriesOf(sinkOf({}), 5));
    expect(logged.filter(({ level }) => level === 'warn')).toMatchObject([
      { message: /does not say which/, fields: { refused: 2, sent: 5, says: 'too old' } },
    ]);
  });
});

describe('an answer over http with a body that is longer than is read', () => {
  const details = Buffer.alloc(10 * 1024 * 1024);

  test('of 200 takes the records, which one line says at most', async () => {
    const { collector, sinkOf, write, logged } = await opened('http');
    for (const headers of [{}, { 'content-length': String(details.length) }]) {
      collector.answer = () => ({ headers, details });
      await write(entriesOf(sinkOf({}), 5));
    }
    expect(logged.filter(({ level }) => level === 'warn')).toMatchObject([
      {
        message: 'an answer of a collector is too long to look for refused records; the request counts as taken',
        fields: { server: new URL(collector.url).host },
      },
    ]);
    collector.answer = () => ({});
    await write(entriesOf(sinkOf({}), 5));
  });

  test('of another status is what the status says', async () => {
    const { collector, sinkOf, write } = await opened('http');
    collector.answer = () => ({ status: 503, headers: { 'retry-after': '7' }, details });
    await expect(write(entriesOf(sinkOf({}), 2))).rejects.toMatchObject({ name: 'Unavailable', retryAfterMs: 7000 });
  });
});

test('records that were refused before the rest of their batch failed are still reported as refused', async () => {
  const { collector, sinkOf, write } = await opened('http', { maxRequestBytes: 5000 });
  const entries = entriesOf(sinkOf({ text: 'string' }), 8, () => ({ text: 'x'.repeat(1000) }));
  const answers = [{ status: 400 }, { status: 503 }, { status: 400 }];
  collector.answer = () => answers.shift() ?? {};
  await expect(write(entries)).rejects.toBeInstanceOf(Unavailable);
  await expect(write(entries)).rejects.toMatchObject({ name: 'Rejected', entries: [0, 1, 2, 3] });
  expect(collector.logs.map(({ attributes }) => attributes['log.record.uid'])).toEqual([
    'id-4',
    'id-5',
    'id-6',
    'id-7',
  ]);
});

test('a batch that is sent again leaves out the records that were taken', async () => {
  const { collector, sinkOf, write } = await opened('http', { maxRequestBytes: 5000 });
  const entries = entriesOf(sinkOf({ text: 'string' }), 30, () => ({ text: 'x'.repeat(1000) }));
  let requests = 0;
  collector.answer = () => (++requests > 3 && requests < 6 ? { status: 503 } : {});
  for (let tries = 0; tries < 3; tries++) {
    const error: unknown = await write(entries).catch((thrown: unknown) => thrown);
    if (error === undefined) break;
    expect(error).toBeInstanceOf(Unavailable);
  }
  expect(collector.logs.map(({ attributes }) => attributes['log.record.uid'])).toEqual(entries.map(({ id }) => id));
});

test.each(['http', 'grpc'] as const)(
  'a collector that hangs or is away delays a write by its deadline, over %s',
  async (protocol) => {
    const { collector, sinkOf, handler, readiness } = await opened(protocol);
    collector.answer = () => ({ never: true });
    const entries = entriesOf(sinkOf({}), 1);
    await expect(handler.write?.(entries, testCall(200))).rejects.toBeInstanceOf(Unavailable);
    await collector.stop(); // a stream that it still had ends as cancelled, which proves nothing
    for (let tries = 0; tries < 50 && readiness().ready; tries++)
      await expect(handler.write?.(entries, testCall(500))).rejects.toBeInstanceOf(Unavailable);
    expect(readiness().ready).toBe(false);
  },
);

describe.each(['http', 'grpc'] as const)('over TLS, %s', (protocol) => {
  /** Node warns once per process that a server's name is an address. */
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.message);
  beforeAll(() => void process.on('warning', onWarning));
  afterAll(() => void process.off('warning', onWarning));

  const sent = async (tls: (files: { ca: string; cert: string; key: string }) => object, names: string) => {
    const authority = await makeAuthority();
    const { cert, key } = await authority.issue('server', names);
    const client = await authority.issue('client', 'DNS:client');
    const [serverCert, serverKey, ca] = await Promise.all([cert, key, authority.ca].map((path) => readFile(path)));
    const collector = await startCollector(protocol, {
      tls: { cert: serverCert as Buffer, key: serverKey as Buffer, ca: ca as Buffer },
    });
    onTestFinished(async () => {
      await collector.stop();
      await authority.remove();
    });
    const handler = await openForTest(adapter, {
      config: { url: collector.url, protocol, tls: tls({ ca: authority.ca, ...client }) },
    });
    onTestFinished(() => handler.close());
    const sink = handler.handler.sink?.({ rule: 'r', input: {}, params: adapter.serves.report?.params?.parse({}) });
    const write = async (): Promise<void> => {
      await handler.handler.write?.(entriesOf(sink, 3), testCall(1500));
    };
    return { collector, write, readiness: handler.readiness };
  };

  test('records arrive with a client certificate', async () => {
    const { collector, write } = await sent((files) => files, 'IP:127.0.0.1');
    await write();
    expect(collector.logs.length).toBe(3);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['collector.test', 'DNS:collector.test'],
    ['192.0.2.7', 'IP:192.0.2.7'],
  ])('the certificate of the collector may be for %s, if the config has it', async (serverName, names) => {
    const { collector, write } = await sent((files) => ({ ...files, serverName }), names);
    await write();
    expect(collector.logs.length).toBe(3);
    expect(warnings).toEqual([]);
  });

  test.each([
    [
      'of an authority that is not trusted',
      ({ cert, key }: { cert: string; key: string }) => ({ cert, key }),
      'IP:127.0.0.1',
      /127\.0\.0\.1:\d+: its certificate is signed by no authority of tls\.ca/,
    ],
    ['of another name', (files: object) => files, 'DNS:other.test', /: its certificate is for another name/],
    ['that asks for a client certificate', ({ ca }: { ca: string }) => ({ ca }), 'IP:127.0.0.1', /127\.0\.0\.1/],
  ] as const)('a collector %s gets no records, and the handler is not ready', async (_, tls, names, says) => {
    const { collector, write, readiness } = await sent(tls, names);
    await expect(write()).rejects.toBeInstanceOf(Unavailable);
    expect(readiness().ready).toBe(false);
    expect(readiness().why).toMatch(says);
    expect(collector.requests).toEqual([]);
  });
});
