/** Access logs of a real Envoy by OTLP, with the configuration of docs/envoy.md, beside an access log stream. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { VOCABULARY } from '../../src/attributes/vocabulary.ts';
import { startEnvoy } from '../parts/envoy.ts';
import { envoyProgram } from '../parts/fetch.ts';
import { freePort } from '../parts/free-port.ts';
import { startUpstream } from '../parts/upstream.ts';
import { serveSluice, until } from './sluice.ts';

const page = await readFile(join(import.meta.dirname, '../../docs/envoy.md'), 'utf8');
const snippets = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text);

interface Logger {
  name: string;
  typed_config: Record<string, unknown> & { attributes: { values: { key: string }[] } };
}
const [httpLogger, tcpLogger] = snippets
  .filter((text) => text.includes('access_loggers.open_telemetry'))
  .map((text) => parse(text) as Logger);
if (httpLogger === undefined || tcpLogger === undefined) throw new Error('docs/envoy.md has no OpenTelemetry loggers');

interface Filter {
  typed_config: { access_log: object[]; access_log_options?: object };
}
interface Bootstrap {
  static_resources: {
    listeners: { filter_chains: { filters: Filter[] }[] }[];
    clusters: object[];
  };
}

/** The configuration of the page, with its ports, and with these loggers beside the ones of streams. */
function bootstrap(
  ports: Readonly<Record<number, number>>,
  http: readonly object[],
  tcp: readonly object[],
): Bootstrap {
  const text = Object.entries(ports).reduce(
    (config, [written, port]) => config.replace(`port_value: ${written} }`, `port_value: ${port} }`),
    snippets.find((one) => one.includes('static_resources')) ?? '',
  );
  const config = parse(
    text.replace('timeout: 0.2s', 'timeout: 5s').replace('timeout: 0.02s', 'timeout: 5s'),
  ) as Bootstrap;
  const [ofHttp, ofTcp] = config.static_resources.listeners.map(({ filter_chains: [chain] }) => chain?.filters.at(-1));
  if (ofHttp === undefined || ofTcp === undefined) throw new Error('the page has two listeners');
  ofHttp.typed_config.access_log.push(...http);
  ofTcp.typed_config.access_log.push(...tcp);
  return config;
}

test('Envoy rejects unknown operators, so that the next test can fail', async () => {
  const wrong = structuredClone(httpLogger);
  wrong.typed_config.attributes.values.push({ key: 'a', value: { string_value: '%NO_SUCH_OPERATOR%' } } as never);
  expect(await validated(bootstrap({}, [wrong], []))).toContain('NO_SUCH_OPERATOR');
});

async function validated(config: object): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-otlp-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'envoy.json');
  await writeFile(file, JSON.stringify(config));
  return promisify(execFile)(await envoyProgram(), ['--mode', 'validate', '-c', file]).then(
    ({ stdout }) => stdout,
    (error: Error) => error.message,
  );
}

const carried = (call: 'log' | 'tcp-log') => VOCABULARY.filter(({ carriedBy }) => carriedBy[call] !== undefined);
/** Every attribute that the call can carry; an absent one is null. */
const inputOf = (call: 'log' | 'tcp-log'): string =>
  carried(call)
    .map(({ name, secret }, at) => `a${at}: ${secret ? `'reveal(${name})'` : name}`)
    .join(', ');
const POLICY = `
handlers: { lines: { adapter: log-stdout, config: {} } }
rules:
  - name: two-kinds-of-answers
    match: request.url_path == "/denied"
    deny: { status: 403 }
  - name: http-entries
    calls: [log]
    report: { handler: lines, input: { kind: '"http"', ${inputOf('log')} } }
  - name: tcp-entries
    calls: [tcp-log]
    report: { handler: lines, input: { kind: '"tcp"', ${inputOf('tcp-log')} } }
  - name: tcp-interim
    calls: [tcp-log-interim]
    report: { handler: lines, input: { kind: '"interim"', log: context.log_name, event: connection.event } }
`;

/** What OTLP does not carry, or carries less exactly (docs/envoy.md). */
const OTHERWISE = new Set([
  'response.duration',
  'response.time',
  'connection.duration',
  'context.time',
  'context.log_name',
  'context.proxy_version',
  'context.node.metadata',
]);

test('an entry has the same attributes by OTLP, over gRPC and HTTP, as by an access log stream', async () => {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.stop());
  const otlpHttp = await freePort();
  await using sluice = await serveSluice(POLICY, { args: ['--otlp-http', `127.0.0.1:${otlpHttp}`] });
  onTestFinished(async () => {
    await sluice.stop();
  });
  const [adminPort, http, tcp] = [await freePort(), await freePort(), await freePort()];
  const overHttp = structuredClone(httpLogger);
  delete overHttp.typed_config['grpc_service'];
  Object.assign(overHttp.typed_config, {
    log_name: 'http.inbound.web',
    http_service: { http_uri: { uri: 'http://sluice/v1/logs', cluster: 'sluice-otlp-http', timeout: '1s' } },
  });
  const renamed = (logger: Logger): Logger => {
    const own = structuredClone(logger);
    own.typed_config['log_name'] = 'http.inbound.grpc';
    return own;
  };
  const config = bootstrap(
    { 9901: adminPort, 10000: http, 10001: tcp, 8080: upstream.httpPort, 9091: sluice.grpcPort },
    [renamed(httpLogger), overHttp],
    [renamed(tcpLogger)],
  );
  config.static_resources.clusters.push({
    name: 'sluice-otlp-http',
    type: 'STATIC',
    load_assignment: {
      cluster_name: 'sluice-otlp-http',
      endpoints: [
        {
          lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: otlpHttp } } } }],
        },
      ],
    },
  });
  Object.assign(config, { node: { id: 'edge-1', cluster: 'edge', locality: { zone: 'zone-1' } } });
  const [, tcpListener] = config.static_resources.listeners;
  Object.assign(tcpListener?.filter_chains[0]?.filters.at(-1)?.typed_config ?? {}, {
    access_log_options: { flush_access_log_on_start: true },
  });
  const envoy = await startEnvoy({ config, adminPort });
  onTestFinished(() => envoy.stop());

  const headers = { 'x-user': 'ann', 'user-agent': 'test/1', referer: 'http://r/', 'x-forwarded-for': '203.0.113.9' };
  const paths = ['/a?b=1', '/a?status=503', '/denied', '/upload?ms=20'];
  for (const path of paths)
    await fetch(`http://127.0.0.1:${http}${path}`, {
      method: path.startsWith('/upload') ? 'POST' : 'GET',
      headers,
      ...(path.startsWith('/upload') ? { body: 'twelve bytes' } : {}),
    });
  const socket = connect({ host: '127.0.0.1', port: tcp });
  await once(socket, 'connect');
  const tcpRequest = 'GET /tcp HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
  socket.end(tcpRequest);
  for await (const _ of socket);

  const attribute = (call: 'log' | 'tcp-log', name: string): string =>
    `a${carried(call).findIndex((row) => row.name === name)}`;
  const linesOf = (call: 'log' | 'tcp-log', log: string): (typeof sluice.written)[number][] =>
    sluice.written.filter(
      (line) => line['kind'] === (call === 'log' ? 'http' : 'tcp') && line[attribute(call, 'context.log_name')] === log,
    );
  await until('all entries', () =>
    ['http.inbound', 'http.inbound.grpc', 'http.inbound.web'].every(
      (log) => linesOf('log', log).length >= paths.length,
    ) && ['tcp.inbound', 'http.inbound.grpc'].every((log) => linesOf('tcp-log', log).length > 0)
      ? true
      : undefined,
  ).catch(() => undefined);

  const differences = (call: 'log' | 'tcp-log', one: Record<string, unknown>, other: Record<string, unknown>) =>
    carried(call).flatMap(({ name }, at) =>
      OTHERWISE.has(name) || isDeepStrictEqual(one[`a${at}`], other[`a${at}`])
        ? []
        : [[name, one[`a${at}`], other[`a${at}`]]],
    );
  const byPath = (log: string, path: string): Record<string, unknown> | undefined =>
    linesOf('log', log).find((line) => line[attribute('log', 'request.path')] === path);
  for (const path of paths) {
    const stream = byPath('http.inbound', path);
    if (stream === undefined) throw new Error(`no entry of ${path} by a stream`);
    for (const log of ['http.inbound.grpc', 'http.inbound.web']) {
      const entry = byPath(log, path);
      if (entry === undefined) throw new Error(`no entry of ${path} ${log}: ${sluice.log.join('\n')}`);
      // A stream has no cluster where a request was not sent upstream.
      const wanted = path === '/denied' ? [['context.upstream.cluster', null, 'app']] : [];
      expect({ path, log, differences: differences('log', stream, entry) }).toEqual({ path, log, differences: wanted });
    }
    // The comparison is of something.
    expect([stream[attribute('log', 'request.headers')], stream[attribute('log', 'response.code')]]).toEqual([
      expect.objectContaining({ 'x-user': 'ann', 'user-agent': 'test/1' }),
      path === '/denied' ? 403 : path.includes('503') ? 503 : 200,
    ]);
    expect(stream[attribute('log', 'verdict.outcome')]).toBe(path === '/denied' ? 'deny' : 'allow');
  }
  const [streamed] = linesOf('tcp-log', 'tcp.inbound');
  const [exported] = linesOf('tcp-log', 'http.inbound.grpc');
  expect(differences('tcp-log', streamed ?? {}, exported ?? { none: true })).toEqual([]);
  // Envoy may count twice what arrived while its filter waited for the check.
  expect(streamed?.[attribute('tcp-log', 'connection.received.bytes_total')]).toBeGreaterThanOrEqual(tcpRequest.length);
  const interim = sluice.written.filter(({ kind }) => kind === 'interim').map(({ log, event }) => [log, event]);
  expect(interim).toEqual(
    expect.arrayContaining([
      ['tcp.inbound', 'open'],
      ['http.inbound.grpc', 'open'],
    ]),
  );

  const { text } = { text: await (await sluice.admin('/metrics')).text() };
  expect(text).toMatch(/^sluice_log_entries_refused_total 0$/m);
  const stats = await envoy.stats();
  expect(stats['access_logs.open_telemetry_access_log.logs_dropped']).toBe(0);
}, 60_000);
