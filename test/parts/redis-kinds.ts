/** Redis as in production: a cluster of three masters, one behind a sentinel, one over TLS; all real and local. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { makeAuthority } from './certificates.ts';
import { startChild, untilReady } from './child.ts';
import { redisServer } from './fetch.ts';
import { freePort } from './free-port.ts';
import { type RedisPart, startRedis } from './redis.ts';

const SLOTS = 16_384;

export interface RedisClusterPart {
  readonly nodes: readonly RedisPart[];
  readonly url: string;
  stop(): Promise<void>;
}

/** Three masters without replicas that share the slots. */
export async function startRedisCluster(): Promise<RedisClusterPart> {
  const nodes: RedisPart[] = [];
  for (let node = 0; node < 3; node++) {
    const port = await freePort(); // the cluster bus listens on port + 10 000
    nodes.push(
      await startRedis({
        port,
        args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-require-full-coverage', 'no'],
      }),
    );
  }
  const connections = nodes.map(({ url }) => new Redis(url));
  try {
    for (const [at, connection] of connections.entries()) {
      const [from, to] = [Math.ceil((SLOTS * at) / 3), Math.ceil((SLOTS * (at + 1)) / 3)];
      await connection.cluster('ADDSLOTS', ...Array.from({ length: to - from }, (_, slot) => from + slot));
      await connection.cluster('SET-CONFIG-EPOCH', at + 1);
    }
    for (const { port } of nodes.slice(1)) await connections[0]?.cluster('MEET', '127.0.0.1', port);
    await untilReady('the cluster', nodes[0] as RedisPart, async () => {
      const infos = await Promise.all(connections.map(async (connection) => connection.cluster('INFO')));
      return infos.every((info) => /cluster_state:ok/.test(String(info)) && /cluster_known_nodes:3/.test(String(info)));
    });
  } finally {
    for (const connection of connections) connection.disconnect();
  }
  return {
    nodes,
    url: nodes.map(({ port }) => `127.0.0.1:${port}`).join(','),
    stop: async () => {
      await Promise.all(nodes.map(async (node) => node.stop()));
    },
  };
}

/** A replica of the first master, which takes its place when that one dies. */
export async function addReplica({ nodes: [master] }: RedisClusterPart): Promise<RedisPart> {
  const replica = await startRedis({
    args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--repl-diskless-sync-delay', '0'],
  });
  const [ofMaster, ofReplica] = [new Redis(master?.url ?? ''), new Redis(replica.url)];
  try {
    const id = await ofMaster.cluster('MYID');
    await ofReplica.cluster('MEET', '127.0.0.1', master?.port ?? 0);
    await untilReady('the replica', replica, async () => (await ofReplica.cluster('REPLICATE', id)) === 'OK');
    await untilReady('the replica', replica, async () =>
      /master_link_status:up/.test(await ofReplica.info('replication')),
    );
  } finally {
    ofMaster.disconnect();
    ofReplica.disconnect();
  }
  return replica;
}

export interface SentinelPart {
  readonly master: RedisPart;
  readonly replica: RedisPart;
  readonly port: number;
  /** In the form of REDIS_URL. */
  readonly url: string;
  /** Output of the sentinel. */ printed(): string;
  stop(): Promise<void>;
}

/** A master, its replica, and a sentinel that promotes the replica within about two seconds. */
export async function startRedisSentinel(): Promise<SentinelPart> {
  const master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] });
  const folder = await mkdtemp(join(tmpdir(), 'sluice-sentinel-'));
  const port = await freePort();
  const config = join(folder, 'sentinel.conf');
  await writeFile(
    config,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor mymaster 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds mymaster 500',
      'sentinel failover-timeout mymaster 2000',
      '',
    ].join('\n'),
  );
  const sentinel = startChild(await redisServer(), [config, '--sentinel']);
  const connection = new Redis(port, '127.0.0.1').on('error', () => {}); // refused until the server listens
  await untilReady(
    'the sentinel',
    sentinel,
    async () => ((await connection.call('SENTINEL', 'REPLICAS', 'mymaster')) as unknown[]).length > 0,
  );
  connection.disconnect();
  const copy = new Redis(replica.url);
  await untilReady('the replica', replica, async () => /master_link_status:up/.test(await copy.info('replication')));
  copy.disconnect();
  return {
    master,
    replica,
    port,
    url: `mymaster,127.0.0.1:${port}`,
    printed: () => sentinel.printed(),
    stop: async () => {
      await sentinel.stop();
      await Promise.all([master.stop(), replica.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface TlsRedisPart extends RedisPart {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** TLS only, with client certificates of the same authority. */
export async function startRedisTls(): Promise<TlsRedisPart> {
  const authority = await makeAuthority();
  const { cert, key } = await authority.issue('own', 'IP:127.0.0.1,DNS:localhost');
  const port = await freePort();
  const plainPort = await freePort();
  const part = await startRedis({
    port: plainPort,
    args: [
      '--tls-port',
      String(port),
      '--tls-cert-file',
      cert,
      '--tls-key-file',
      key,
      '--tls-ca-cert-file',
      authority.ca,
      '--tls-auth-clients',
      'yes',
    ],
  });
  return {
    ...part,
    port,
    url: `rediss://127.0.0.1:${port}`,
    ca: authority.ca,
    cert,
    key,
    stop: async (graceMs) => {
      await part.stop(graceMs);
      await authority.remove();
    },
  };
}
