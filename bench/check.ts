/**
 * What a check costs: a realistic CheckRequest (1.3 KB, 15 headers) against three rules that read five attributes, with headers that
 * vary from call to call, beside a TCP echo of as many bytes and other servers on the same core. Prints tables of medians.
 *
 *   node bench/check.ts [SECONDS] [REPEATS] [SECONDS OF EACH OPEN LOOP]
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { checkRequest, framed } from './check-request.ts';
import { CheckResponseSchema } from '../src/frontends/generated/envoy/service/auth/v3/external_auth_pb.ts';
import { type Figures, HEADER, medianRun, row } from './figures.ts';
import { type Measured, startOnCore } from './process.ts';
import { dialGrpc } from '../src/transport/index.ts';

const SERVER_CORE = 0;
const LOAD_CORE = 1;
const SHAPES = [[1, 1], [1, 8], [1, 64], [8, 8]] as const;
const RATES = [1000, 5000, 20_000];
const PATH = '/envoy.service.auth.v3.Authorization/Check';
const POLICY = 'bench/policy/three-rules.yaml';

interface Server { readonly name: string; readonly process: Measured; readonly port: number }

async function start(name: string, args: readonly string[], program?: string): Promise<Server> {
  const process = await startOnCore(SERVER_CORE, args, /gRPC\s+\S*?127\.0\.0\.1:(\d+)/, program);
  return { name, process, port: Number(process.match[1]) };
}

/** A server that answers something else quickly would be a fine figure of nothing. */
async function expectAllowed({ name, port }: Server): Promise<void> {
  const client = dialGrpc(`127.0.0.1:${port}`);
  const { status, httpResponse } = fromBinary(CheckResponseSchema, await client.unary(PATH, message, { timeoutMs: 5000 }));
  client.close();
  if ((status?.code ?? 0) !== 0 || httpResponse.case !== 'okResponse' || httpResponse.value.headers[0]?.header?.value !== 'three') throw new Error(`${name} does not answer as the policy says`);
}

function onLoadCore(args: readonly (string | number)[]): Omit<Figures, 'cpuUs'> {
  return JSON.parse(execFileSync('taskset', ['-c', String(LOAD_CORE), process.execPath, ...args.map(String)], { encoding: 'utf8' })) as Omit<Figures, 'cpuUs'>;
}

function load(server: Server, connections: number, streams: number, forSeconds: number, rate = 0): Figures {
  const cpuBefore = server.process.cpuUs();
  const figures = onLoadCore(['bench/load-client.ts', server.port, frame, connections, streams, forSeconds, rate]);
  const share = forSeconds / (forSeconds + 1.5); // the client warms up for as long
  return { ...figures, cpuUs: (server.process.cpuUs() - cpuBefore) * share / figures.requests };
}

async function echo(connections: number, streams: number, forSeconds: number): Promise<Figures> {
  const server = await startOnCore(SERVER_CORE, ['bench/echo-server.ts', String(message.length), '100'], /listens on (\d+)/);
  try {
    const cpuBefore = server.cpuUs();
    const figures = onLoadCore(['bench/echo-client.ts', server.match[1] ?? '', connections, streams, forSeconds, message.length, 100]);
    return { ...figures, failed: 0, cpuUs: (server.cpuUs() - cpuBefore) / figures.requests };
  } finally {
    await server.stop();
  }
}

/** grpc-go, where there is Go to build it. */
async function goServer(): Promise<Server[]> {
  const program = join(folder, 'go-server');
  const { status, error, stderr } = spawnSync('go', ['build', '-o', program, '.'], { cwd: new URL('go-server', import.meta.url), encoding: 'utf8' });
  if (error !== undefined) return [];
  if (status !== 0) throw new Error(`go build: ${stderr}`);
  return [await start('grpc-go', [], program)];
}

const seconds = Number(process.argv[2] ?? 4);
const repeats = Number(process.argv[3] ?? 3);
const openSeconds = Number(process.argv[4] ?? 60);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const frame = join(folder, 'frame');
const message = checkRequest();
await writeFile(frame, framed(message));
const serve = ['--max-semi-space-size=4', 'src/cli/bin.ts', 'serve', POLICY, '--grpc', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--log-level', 'warn'];
const servers: Server[] = [];
try {
  servers.push(await start('sluice', serve), await start('sluice on node:http2', [...serve, '--transport', 'http2']), await start('sluice on grpc-js', ['bench/grpc-js-server.ts', POLICY]), await start('grpc-js', ['bench/grpc-js-plain-server.ts']), ...await goServer());
  for (const server of servers) {
    await expectAllowed(server);
    load(server, 4, 16, 4);
  }
  console.log(`CheckRequest of ${message.length} bytes, ${seconds} s a run, median of ${repeats}, servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}\n\n${HEADER}`);
  for (const [connections, streams] of SHAPES) {
    const runs = new Map<string, Figures[]>([['TCP echo', []], ...servers.map(({ name }): [string, Figures[]] => [name, []])]);
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      runs.get('TCP echo')?.push(await echo(connections, streams, Math.min(seconds, 2)));
      for (const server of servers) runs.get(server.name)?.push(load(server, connections, streams, seconds));
    }
    const beside = medianRun(runs.get('TCP echo') ?? []);
    for (const [name, figures] of runs) console.log(row(`${name} ${connections}x${streams}`, medianRun(figures), beside));
  }
  console.log('\nOpen loop, 2 connections, timed from when a call was due.\n\n| server, calls/s | answered/s | not sent | sent late, p99 us | p50 us | p99 us | p99.9 us | CPU us/call |\n|---|---|---|---|---|---|---|---|');
  for (const rate of RATES) {
    for (const server of servers) {
      const { perSecond, notSent = 0, lateP99Us = Number.NaN, p50Us, p99Us, p999Us = Number.NaN, cpuUs } = load(server, 2, 1, openSeconds, rate);
      console.log(`| ${server.name} ${rate} | ${Math.round(perSecond)} | ${notSent} | ${Math.round(lateP99Us)} | ${Math.round(p50Us)} | ${Math.round(p99Us)} | ${Math.round(p999Us)} | ${cpuUs.toFixed(1)} |`);
    }
  }
} finally {
  for (const { process: started } of servers) await started.stop();
  await rm(folder, { recursive: true });
}
