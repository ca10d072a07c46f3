/** Shared by benches of checks: servers on one core, the load generator and a TCP echo on the other. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { CheckResponseSchema } from '../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { dialGrpc } from '../src/transport/index.ts';
import type { Figures } from './figures.ts';
import { type Measured, startOnCore } from './process.ts';

export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
const PATH = '/envoy.service.auth.v3.Authorization/Check';

export interface Server {
  readonly name: string;
  readonly process: Measured;
  readonly port: number;
}

export async function start(name: string, args: readonly string[], program?: string): Promise<Server> {
  const process = await startOnCore(SERVER_CORE, args, /gRPC\s+\S*?127\.0\.0\.1:(\d+)/, program);
  return { name, process, port: Number(process.match[1]) };
}

/** `sluice serve` with a policy and the command's own V8 flags. */
export const startSluice = (name: string, policy: string, flags: readonly string[] = []): Promise<Server> =>
  start(name, [
    '--max-semi-space-size=4',
    'src/cli/bin.ts',
    'serve',
    policy,
    '--grpc',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    '--log-level',
    'warn',
    ...flags,
  ]);

/** grpc-go, if Go is installed. */
export async function startGo(folder: string): Promise<Server[]> {
  const program = join(folder, 'go-server');
  const { status, error, stderr } = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: new URL('go-server', import.meta.url),
    encoding: 'utf8',
  });
  if (error !== undefined) return [];
  if (status !== 0) throw new Error(`go build: ${stderr}`);
  return [await start('grpc-go', [], program)];
}

/** Checks the answer first: a fast wrong answer would give a meaningless figure. */
export async function expectAllowed({ name, port }: Server, message: Uint8Array): Promise<void> {
  const client = dialGrpc(`127.0.0.1:${port}`);
  const { status, httpResponse } = fromBinary(
    CheckResponseSchema,
    await client.unary(PATH, message, { timeoutMs: 5000 }),
  );
  client.close();
  if (
    (status?.code ?? 0) !== 0 ||
    httpResponse.case !== 'okResponse' ||
    httpResponse.value.headers[0]?.header?.value !== 'three'
  )
    throw new Error(`${name} does not answer as the policy says`);
}

function onLoadCore(args: readonly (string | number)[]): Omit<Figures, 'cpuUs'> {
  return JSON.parse(
    execFileSync('taskset', ['-c', String(LOAD_CORE), process.execPath, ...args.map(String)], { encoding: 'utf8' }),
  ) as Omit<Figures, 'cpuUs'>;
}

/** `frames`: a file of messages as gRPC frames them. `rate` 0: a closed loop. */
export function load(
  server: Server,
  frames: string,
  connections: number,
  streams: number,
  forSeconds: number,
  rate = 0,
  entryRate = 0,
): Figures {
  const cpuBefore = server.process.cpuUs();
  const figures = onLoadCore([
    'bench/load-client.ts',
    server.port,
    frames,
    connections,
    streams,
    forSeconds,
    rate,
    '', // the default path
    entryRate,
  ]);
  const share = forSeconds / (forSeconds + 1.5); // the client warms up for 1.5 s
  return { ...figures, cpuUs: ((server.process.cpuUs() - cpuBefore) * share) / figures.requests };
}

export async function echo(
  messageBytes: number,
  connections: number,
  streams: number,
  forSeconds: number,
): Promise<Figures> {
  const server = await startOnCore(
    SERVER_CORE,
    ['bench/echo-server.ts', String(messageBytes), '100'],
    /listens on (\d+)/,
  );
  try {
    const cpuBefore = server.cpuUs();
    const figures = onLoadCore([
      'bench/echo-client.ts',
      server.match[1] ?? '',
      connections,
      streams,
      forSeconds,
      messageBytes,
      100,
    ]);
    return { ...figures, failed: 0, cpuUs: (server.cpuUs() - cpuBefore) / figures.requests };
  } finally {
    await server.stop();
  }
}
