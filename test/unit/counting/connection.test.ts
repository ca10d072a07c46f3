import { z } from 'zod';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from 'sluice/plugin/testing';
import { type RedisClusterPart, startRedisCluster } from '../../parts/redis-kinds.ts';
import { type RedisPart, startRedis } from '../../parts/redis.ts';
import { connectionOptions, redisShape } from '../../../src/counting/redis/config.ts';
import { openConnection } from '../../../src/counting/redis/connection.ts';

let single: RedisPart;
let cluster: RedisClusterPart;
beforeAll(async () => {
  [single, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
}, 60_000);
afterAll(async () => {
  await Promise.all([single.stop(), cluster.stop()]);
});

const CONFIGS = {
  'one server': () => ({ url: single.url }),
  'a cluster': () => ({ url: cluster.nodes[0]?.url ?? '', cluster: [] }),
};

test.each(Object.entries(CONFIGS))(
  '%s: a client that has ended, though nobody closed it, is started again',
  async (_name, config) => {
    const told: boolean[] = [];
    const redis = await connectionOptions(z.object(redisShape).parse(config()), '/');
    const connection = openConnection({ redis, timeoutMs: 2000, onReady: (isReady) => told.push(isReady) });
    await eventually(async () => expect(await connection.ask(async (client) => client.get('k'))).toBeNull());
    await connection.ask(async (client) => client.disconnect()); // as it does itself where a sentinel tells of a failover while it connects
    await eventually(() => expect(told.at(-1)).toBe(false));
    await eventually(async () => expect(await connection.ask(async (client) => client.get('k'))).toBeNull());
    connection.close();
  },
);
