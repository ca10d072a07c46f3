/** Proxies before Redis, as users of envoyproxy/ratelimit run them: each spreads keys over real servers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Part, startChild, untilReady } from './child.ts';
import { startEnvoy } from './envoy.ts';
import { nutcrackerProgram } from './fetch.ts';
import { freePort } from './free-port.ts';
import { answersPing, type RedisPart, startRedis } from './redis.ts';

export const REDIS_PROXIES = ['Envoy', 'twemproxy'] as const;
export type RedisProxy = (typeof REDIS_PROXIES)[number];

export interface RedisProxyPart extends Part {
  readonly port: number;
  readonly url: string;
  readonly servers: readonly RedisPart[];
}

const HOST = '127.0.0.1';
const at = (port: number): object => ({ address: { socket_address: { address: HOST, port_value: port } } });

const STARTED: Readonly<Record<RedisProxy, (port: number, servers: readonly RedisPart[]) => Promise<Part>>> = {
  async Envoy(port, servers) {
    const adminPort = await freePort();
    const filter = {
      name: 'redis',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy',
        stat_prefix: 'redis',
        settings: { op_timeout: '5s' },
        prefix_routes: { catch_all_route: { cluster: 'servers' } },
      },
    };
    const endpoints = servers.map((server) => ({ endpoint: at(server.port) }));
    const cluster = {
      name: 'servers',
      type: 'STATIC',
      lb_policy: 'MAGLEV',
      connect_timeout: '1s',
      load_assignment: { cluster_name: 'servers', endpoints: [{ lb_endpoints: endpoints }] },
    };
    return startEnvoy({
      adminPort,
      config: {
        admin: at(adminPort),
        static_resources: {
          listeners: [{ name: 'redis', ...at(port), filter_chains: [{ filters: [filter] }] }],
          clusters: [cluster],
        },
      },
    });
  },
  async twemproxy(port, servers) {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-twemproxy-'));
    const config = join(folder, 'nutcracker.yml');
    await writeFile(
      config,
      [
        'pool:',
        `  listen: ${HOST}:${port}`,
        '  redis: true',
        '  hash: fnv1a_64',
        '  distribution: ketama',
        '  server_retry_timeout: 100',
        '  servers:',
        ...servers.map((server) => `   - ${HOST}:${server.port}:1`),
        '',
      ].join('\n'),
    );
    const program = await nutcrackerProgram();
    const files = ['-c', config, '-o', join(folder, 'log'), '-p', join(folder, 'pid')];
    const part = startChild(program, [...files, '-a', HOST, '-s', String(await freePort())], {
      env: { ...process.env, LD_LIBRARY_PATH: join(dirname(program), '../lib/x86_64-linux-gnu') },
    });
    return {
      ...part,
      stop: async (graceMs) => {
        await part.stop(graceMs);
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

/** A proxy before as many servers. */
export async function startRedisProxy(kind: RedisProxy, count: number): Promise<RedisProxyPart> {
  const servers = await Promise.all(Array.from({ length: count }, async () => startRedis()));
  const port = await freePort();
  const part = await STARTED[kind](port, servers);
  await untilReady(kind, part, () => answersPing(port, '*1\r\n$4\r\nPING\r\n')); // twemproxy knows no other form
  return {
    ...part,
    port,
    url: `redis://${HOST}:${port}`,
    servers,
    stop: async (graceMs) => {
      await part.stop(graceMs);
      await Promise.all(servers.map(async (server) => server.stop()));
    },
  };
}
