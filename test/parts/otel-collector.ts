/**
 * A real OpenTelemetry collector, for slow tests: its builder and the collector are built by Go into the cache on first use. It receives
 * OTLP over gRPC and HTTP, each also over TLS with client certificates, and writes what it received to files, as JSON.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { goTool } from '../../scripts/go-tool.ts';
import { type Authority, makeAuthority } from './certificates.ts';
import { type Part, startChild, untilReady } from './child.ts';
import { freePort } from './free-port.ts';

const VERSION = 'v0.165.0';
const RECEIVER = `go.opentelemetry.io/collector/receiver/otlpreceiver ${VERSION}`;
const EXPORTER = `github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter ${VERSION}`;
const PROVIDERS = ['envprovider', 'fileprovider'].map(
  (name) => `go.opentelemetry.io/collector/confmap/provider/${name} v1.71.0`,
);
/** The source is the builder's; its own `go mod tidy` also wants modules that only tests need and that the proxy lacks. */
const GO_MOD = `module otelcol
go 1.25
require (
${[`go.opentelemetry.io/collector/otelcol ${VERSION}`, RECEIVER, EXPORTER, ...PROVIDERS].join('\n')}
)
`;

async function collectorProgram(): Promise<string> {
  const folder = resolve('.cache/otelcol');
  const program = join(folder, 'otelcol');
  if (existsSync(program)) return program;
  const builder = goTool('builder', `go.opentelemetry.io/collector/cmd/builder@${VERSION}`);
  const manifest = {
    dist: { name: 'otelcol', output_path: folder },
    receivers: [{ gomod: RECEIVER }],
    exporters: [{ gomod: EXPORTER }],
    providers: PROVIDERS.map((gomod) => ({ gomod })),
  };
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'builder.yaml');
  await writeFile(file, JSON.stringify(manifest)); // JSON is YAML
  execFileSync(builder, ['--config', file, '--skip-get-modules', '--skip-compilation'], { stdio: 'inherit' });
  await writeFile(join(folder, 'go.mod'), GO_MOD);
  execFileSync('go', ['build', '-mod=mod', '-o', 'otelcol', '.'], { cwd: folder, stdio: 'inherit' });
  return program;
}

type Signal = 'logs' | 'traces' | 'metrics';
export interface OtelCollector {
  readonly urls: Readonly<Record<'http' | 'grpc', Readonly<Record<'plain' | 'tls', string>>>>;
  /** Signs the certificates of the server and of clients. */
  readonly authority: Authority;
  /** Export requests that were written so far, decoded from JSON. */
  received(signal: Signal): Promise<readonly Record<string, unknown>[]>;
  kill(): Promise<void>;
  /** On the same ports, after `kill`. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startOtelCollector(): Promise<OtelCollector> {
  const program = await collectorProgram();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-otelcol-'));
  const authority = await makeAuthority();
  const { cert, key } = await authority.issue('collector', 'DNS:localhost,IP:127.0.0.1');
  const [grpc, http, grpcTls, httpTls] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const tls = { cert_file: cert, key_file: key, client_ca_file: authority.ca };
  const exporters = ['file/logs', 'file/traces', 'file/metrics'];
  const config = {
    receivers: {
      'otlp/plain': {
        protocols: { grpc: { endpoint: `127.0.0.1:${grpc}` }, http: { endpoint: `127.0.0.1:${http}` } },
      },
      'otlp/tls': {
        protocols: {
          grpc: { endpoint: `127.0.0.1:${grpcTls}`, tls },
          http: { endpoint: `127.0.0.1:${httpTls}`, tls },
        },
      },
    },
    exporters: Object.fromEntries(
      exporters.map((name) => [name, { path: join(folder, name.slice(5)), append: true, flush_interval: '100ms' }]),
    ),
    service: {
      telemetry: { logs: { level: 'warn' }, metrics: { level: 'none' } },
      pipelines: Object.fromEntries(
        exporters.map((name) => [name.slice(5), { receivers: ['otlp/plain', 'otlp/tls'], exporters: [name] }]),
      ),
    },
  };
  const file = join(folder, 'config.yaml');
  await writeFile(file, JSON.stringify(config));
  let running: Part;
  const start = async (): Promise<void> => {
    running = startChild(program, ['--config', `file:${file}`]);
    for (const port of [grpc, http, grpcTls, httpTls])
      await untilReady('the collector', running, () => isListening(port));
  };
  await start();
  return {
    urls: {
      http: { plain: `http://127.0.0.1:${http}`, tls: `https://127.0.0.1:${httpTls}` },
      grpc: { plain: `http://127.0.0.1:${grpc}`, tls: `https://127.0.0.1:${grpcTls}` },
    },
    authority,
    async received(signal) {
      const path = join(folder, signal);
      const text = existsSync(path) ? await readFile(path, 'utf8') : '';
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      return whole
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    kill: () => running.kill(),
    restart: start,
    async stop() {
      await running.stop();
      await authority.remove();
      await rm(folder, { recursive: true });
    },
  };
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}
