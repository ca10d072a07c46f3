/** `sluice ratelimit` and envoyproxy/ratelimit itself, started with the same environment. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Part, startChild, untilReady } from './child.ts';
import { COMMAND, ROOT } from './command-path.ts';
import { freePort } from './free-port.ts';

export interface RateLimitPart extends Part {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly debugPort: number;
  readonly prometheusPort: number;
}

/** The version in Go's module proxy; later ones differ in quota mode, wildcards within a value and metadata. */
const REFERENCE = 'github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36';

/** Built with Go into .cache; `undefined` without Go. */
export async function referenceProgram(): Promise<string | undefined> {
  const bin = resolve(ROOT, '.cache/go/bin');
  const program = join(bin, 'ratelimit-reference');
  if (existsSync(program)) return program;
  await mkdir(bin, { recursive: true });
  const { error, status } = spawnSync('go', ['install', REFERENCE], {
    encoding: 'utf8',
    env: { ...process.env, GOBIN: bin },
  });
  if (error !== undefined) return undefined;
  if (status !== 0) throw new Error('envoyproxy/ratelimit could not be built');
  await cp(join(bin, 'service_cmd'), program);
  return program;
}

/** `health`: the status of /healthcheck to wait for. */
export const startSluiceRatelimit = async (env: NodeJS.ProcessEnv, health = 200): Promise<RateLimitPart> =>
  startRateLimit('sluice ratelimit', process.execPath, [COMMAND, 'ratelimit'], env, health);
export const startReference = async (program: string, env: NodeJS.ProcessEnv): Promise<RateLimitPart> =>
  startRateLimit('envoyproxy/ratelimit', program, [], env);

export async function startRateLimit(
  name: string,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  health = 200,
): Promise<RateLimitPart> {
  const [grpcPort, httpPort, debugPort, prometheusPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const part = startChild(program, args, {
    env: {
      PATH: process.env['PATH'],
      HOST: '127.0.0.1',
      GRPC_HOST: '127.0.0.1',
      DEBUG_HOST: '127.0.0.1',
      PORT: String(httpPort),
      GRPC_PORT: String(grpcPort),
      DEBUG_PORT: String(debugPort),
      USE_STATSD: 'false',
      USE_PROMETHEUS: 'true',
      PROMETHEUS_ADDR: `127.0.0.1:${prometheusPort}`,
      STATS_FLUSH_INTERVAL: '1s',
      ...env,
    },
  });
  await untilReady(
    name,
    part,
    async () => (await fetch(`http://127.0.0.1:${httpPort}/healthcheck`).catch(() => undefined))?.status === health,
  );
  return { ...part, grpcPort, httpPort, debugPort, prometheusPort };
}
