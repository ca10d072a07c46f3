/**
 * What a check costs: a realistic CheckRequest (1.3 KB, 15 headers) against three rules that read five attributes,
 * beside a TCP echo of as many bytes on the same core. Prints a table of medians.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema, CheckResponseSchema } from '../src/frontends/generated/envoy/service/auth/v3/external_auth_pb.ts';
import { type Figures, HEADER, medianRun, row } from './figures.ts';
import { h2load } from './h2load.ts';
import { startOnCore } from './process.ts';
import { dialGrpc } from '../src/transport/index.ts';

const SERVER_CORE = 0;
const LOAD_CORE = 1;
const SHAPES = [[1, 1], [1, 8], [1, 64], [8, 8]] as const;

/** As Envoy sends it for a request of a browser behind two proxies. */
export function checkRequest(): Uint8Array {
  const headers: Record<string, string> = {
    ':authority': 'shop.example.com', ':method': 'GET', ':path': '/ratings/42?page=3&sort=recent', ':scheme': 'https',
    accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'accept-encoding': 'gzip, deflate, br, zstd', 'accept-language': 'en-GB,en;q=0.9,de;q=0.7',
    authorization: `Bearer ${'eyJhbGciOiJSUzI1NiJ9'.repeat(18)}`,
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
    'x-forwarded-for': '203.0.113.9, 198.51.100.7', 'x-forwarded-proto': 'https', 'x-envoy-internal': 'false',
    'x-request-id': '3b1f0a52-9c7e-4c1d-8a55-0f6f0c6f6c1e', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'x-user': 'ann',
  };
  const socket = (address: string, portValue: number): object => ({
    address: { address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: portValue } } } },
  });
  return toBinary(CheckRequestSchema, create(CheckRequestSchema, {
    attributes: {
      source: socket('198.51.100.7', 51812), destination: socket('10.4.2.17', 8443),
      request: {
        time: { seconds: 1_790_000_000n, nanos: 123_000_000 },
        http: { id: '17180214723456789012', method: 'GET', headers, path: '/ratings/42?page=3&sort=recent', host: 'shop.example.com', scheme: 'https', protocol: 'HTTP/2' },
      },
      contextExtensions: { 'destination.namespace': 'shop' },
    },
  }));
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

async function echo(connections: number, streams: number, seconds: number, bytes: number): Promise<Figures> {
  const server = await startOnCore(SERVER_CORE, ['bench/echo-server.ts', String(bytes), '100'], /listens on (\d+)/);
  try {
    const cpuBefore = server.cpuUs();
    const printed = execFileSync('taskset', ['-c', String(LOAD_CORE), process.execPath, 'bench/echo-client.ts', server.match[1] ?? '', String(connections), String(streams), String(seconds), String(bytes), '100'], { encoding: 'utf8' });
    const figures = JSON.parse(printed) as Omit<Figures, 'cpuUs' | 'failed'>;
    return { ...figures, failed: 0, cpuUs: (server.cpuUs() - cpuBefore) / figures.requests };
  } finally {
    await server.stop();
  }
}

/** A server that answers something else quickly would be a fine figure of nothing. */
async function expectAllowed(port: number, path: string): Promise<void> {
  const client = dialGrpc(`127.0.0.1:${port}`);
  const { status, httpResponse } = fromBinary(CheckResponseSchema, await client.unary(path, message, { timeoutMs: 5000 }));
  client.close();
  if ((status?.code ?? 0) !== 0 || httpResponse.case !== 'okResponse' || httpResponse.value.headers[0]?.header?.value !== 'three') throw new Error('the server does not answer as its policy says');
}

const seconds = Number(process.argv[2] ?? 4);
const repeats = Number(process.argv[3] ?? 3);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const frame = join(folder, 'frame');
const message = checkRequest();
await writeFile(frame, framed(message));
const sluice = await startOnCore(SERVER_CORE, ['src/cli/bin.ts', 'serve', 'bench/policy/three-rules.yaml', '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--log-level', 'warn'], /gRPC\s+\S*?127\.0\.0\.1:(\d+)/);
try {
  const load = { port: Number(sluice.match[1]), path: '/envoy.service.auth.v3.Authorization/Check', frame, core: LOAD_CORE };
  await expectAllowed(load.port, load.path);
  await h2load(sluice, { ...load, connections: 4, streams: 16, seconds: 3 });
  console.log(`CheckRequest of ${message.length} bytes, ${seconds} s a run, median of ${repeats}, server on core ${SERVER_CORE}, load on core ${LOAD_CORE}\n\n${HEADER}`);
  for (const [connections, streams] of SHAPES) {
    const runs: Figures[] = [];
    const echoes: Figures[] = [];
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      runs.push(await h2load(sluice, { ...load, connections, streams, seconds }));
      echoes.push(await echo(connections, streams, Math.min(seconds, 2), message.length));
    }
    const beside = medianRun(echoes);
    console.log(row(`TCP echo ${connections}x${streams}`, beside, beside));
    console.log(row(`sluice ${connections}x${streams}`, medianRun(runs), beside));
  }
} finally {
  await sluice.stop();
  await rm(folder, { recursive: true });
}
