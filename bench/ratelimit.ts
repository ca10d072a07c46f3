/**
 * Cost of a rate limit: decisions per second and core, and round trips to Redis, compared with envoyproxy/ratelimit on the same Redis.
 * Servers run on core 0; Redis and the load share core 1, so that load saved on Redis benefits the load generator. Needs Go and
 * redis-server.
 *
 *   node bench/ratelimit.ts [SECONDS] [REPEATS]
 */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { Redis } from 'ioredis';
import { framed } from './check-request.ts';
import { type Figures, medianRun } from './figures.ts';
import { type Measured, startOnCore } from './process.ts';
import { RateLimitRequestSchema } from '../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { freePort } from '../test/parts/free-port.ts';
import { referenceProgram } from '../test/parts/ratelimits.ts';
import { startRedis } from '../test/parts/redis.ts';

const PATH = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
const seconds = Number(process.argv[2] ?? 3);
const repeats = Number(process.argv[3] ?? 3);

const program = await referenceProgram();
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const redis = await startRedis();
execFileSync('taskset', ['-cp', '1', String(redis.pid)]);
const admin = new Redis(redis.url);

/** Limits for keys k0 to kN-1, with one rule per key if there are many rules; no limit is reached. */
async function runtime(rules: number): Promise<string> {
  const root = join(folder, `rules-${rules}`);
  await mkdir(join(root, 'config'), { recursive: true });
  const limit = 'rate_limit: { unit: hour, requests_per_unit: 1000000000 }';
  const lines =
    rules === 1
      ? [`  - key: user\n    ${limit}`]
      : Array.from({ length: rules }, (_, n) => `  - key: user\n    value: u${n}\n    ${limit}`);
  await writeFile(join(root, 'config/shop.yaml'), `domain: shop\ndescriptors:\n${lines.join('\n')}\n`);
  return root;
}

async function frames(keys: number): Promise<string> {
  const file = join(folder, `keys-${keys}`);
  const messages = Array.from({ length: keys }, (_, n) =>
    framed(
      toBinary(
        RateLimitRequestSchema,
        create(RateLimitRequestSchema, {
          domain: 'shop',
          descriptors: [{ entries: [{ key: 'user', value: `u${(n * 7919) % keys}` }] }],
        }),
      ),
    ),
  );
  await writeFile(file, Buffer.concat(messages));
  return file;
}

interface Server {
  readonly name: string;
  readonly process: Measured;
  readonly port: number;
}

async function start(name: string, root: string, env: Readonly<Record<string, string>>): Promise<Server> {
  const [grpcPort, httpPort, debugPort] = [await freePort(), await freePort(), await freePort()];
  const settings = {
    RUNTIME_ROOT: root,
    RUNTIME_WATCH_ROOT: 'false',
    REDIS_SOCKET_TYPE: 'tcp',
    REDIS_URL: `127.0.0.1:${redis.port}`,
    LOG_LEVEL: 'info',
    USE_STATSD: 'false',
    DISABLE_STATS: 'true',
    SLUICE_REDIS_DEADLINE: '5s',
    GRPC_HOST: '127.0.0.1',
    HOST: '127.0.0.1',
    DEBUG_HOST: '127.0.0.1',
    GRPC_PORT: String(grpcPort),
    PORT: String(httpPort),
    DEBUG_PORT: String(debugPort),
    ...env,
  };
  Object.assign(process.env, settings);
  const isReference = name === 'envoyproxy/ratelimit';
  const measured = startOnCore(
    0,
    isReference ? [] : ['--max-semi-space-size=4', 'src/cli/bin.ts', 'ratelimit'],
    /./,
    isReference ? program : undefined,
  );
  for (const key of Object.keys(env)) delete process.env[key];
  // The reference prints nothing when it is ready.
  for (
    let wait = 0;
    (await fetch(`http://127.0.0.1:${httpPort}/healthcheck`).catch(() => undefined))?.status !== 200;
    wait++
  ) {
    if (wait > 600) throw new Error(`${name} does not serve`);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
  return { name, process: await measured, port: grpcPort };
}

/** A round trip is a read of Redis: several commands of one write count once. */
async function trips(): Promise<number> {
  return Number(/total_reads_processed:(\d+)/.exec(await admin.info('stats'))?.[1] ?? 0);
}

async function load(
  { process: server, port }: Server,
  file: string,
  connections: number,
  streams: number,
): Promise<Figures & { readonly trips: number }> {
  const [cpuBefore, tripsBefore] = [server.cpuUs(), await trips()];
  const figures = JSON.parse(
    execFileSync(
      'taskset',
      [
        '-c',
        '1',
        process.execPath,
        'bench/load-client.ts',
        String(port),
        file,
        String(connections),
        String(streams),
        String(seconds),
        '0',
        PATH,
      ],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    ),
  ) as Omit<Figures, 'cpuUs'>;
  const share = seconds / (seconds + 1.5); // the client warms up for 1.5 s
  if (figures.failed > 0) throw new Error(`${figures.failed} calls failed`);
  return {
    ...figures,
    cpuUs: ((server.cpuUs() - cpuBefore) * share) / figures.requests,
    trips: (((await trips()) - tripsBefore) * share) / figures.requests,
  };
}

try {
  console.log(
    '| server | keys | rules | at once | decisions/s | CPU us each | trips each | p50 us | p99 us |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|',
  );
  for (const [keys, rules] of [
    [1, 1],
    [10_000, 1],
    [1_000_000, 1],
    [10_000, 100_000],
  ] as const) {
    const [root, file] = [await runtime(rules), await frames(keys)];
    const kinds: (readonly [string, Readonly<Record<string, string>>])[] = [
      ['compatible', {}],
      ['escrow', { SLUICE_ESCROW: 'true' }],
      ['memory', { BACKEND_TYPE: 'memory' }],
      ...(program === undefined ? [] : [['envoyproxy/ratelimit', {}] as const]),
    ];
    for (const [name, env] of kinds) {
      await admin.flushall();
      const server = await start(name, root, env);
      try {
        for (const [connections, streams] of [
          [1, 1],
          [4, 32],
        ] as const) {
          const runs: (Figures & { trips: number })[] = [];
          for (let repeat = 0; repeat < repeats; repeat++) runs.push(await load(server, file, connections, streams));
          const { perSecond, cpuUs, p50Us, p99Us } = medianRun(runs);
          const perDecision = runs.map((run) => run.trips).toSorted((a, b) => a - b)[runs.length >> 1] ?? 0;
          console.log(
            `| ${name} | ${keys} | ${rules} | ${connections * streams} | ${Math.round(perSecond)} | ${cpuUs.toFixed(1)} | ${perDecision.toFixed(3)} | ${Math.round(p50Us)} | ${Math.round(p99Us)} |`,
          );
        }
      } finally {
        await server.process.stop();
      }
    }
  }
} finally {
  admin.disconnect();
  await redis.stop();
  await rm(folder, { recursive: true });
}
