/** Connections to real servers. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from 'sluice/plugin/testing';
import { type RedisClusterPart, startRedisCluster } from '../../parts/redis-kinds.ts';
import { type RedisPart, startRedis } from '../../parts/redis.ts';
import { connectionOptions, redisShape } from '../../../src/counting/redis/config.ts';
import { openConnection } from '../../../src/counting/redis/connection.ts';
import { RedisCounters } from '../../../src/counting/redis/redis-counters.ts';

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

test.each(Object.entries(CONFIGS))('%s: a client that ended by itself is restarted', async (_name, config) => {
  const readiness: boolean[] = [];
  const redis = await connectionOptions(z.object(redisShape).parse(config()), '/');
  const connection = openConnection({ redis, timeoutMs: 2000, onReady: (isReady) => readiness.push(isReady) });
  await eventually(async () => expect(await connection.ask(async (client) => client.get('k'))).toBeNull());
  await connection.ask(async (client) => client.disconnect()); // ioredis does so if a sentinel reports a failover while it connects
  await eventually(() => expect(readiness.at(-1)).toBe(false));
  await eventually(async () => expect(await connection.ask(async (client) => client.get('k'))).toBeNull());
  connection.close();
});

test('a server that closes each connection is named as such, not as one that is not connected yet', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {}); // close follows
    socket.once('data', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const redis = await connectionOptions(z.object(redisShape).parse({ url }), '/');
  const connection = openConnection({ redis, timeoutMs: 2000, onReady() {} });
  await eventually(() => expect(connection.why).toMatch(/closed in place of an answer to PING: is this Redis/));
  connection.close();
  server.close();
});

test('a script is sent to Redis once, and again after Redis has lost it', async () => {
  const redis = await connectionOptions(z.object(redisShape).parse({ url: single.url }), '/');
  const connection = openConnection({ redis, timeoutMs: 2000, onReady() {} });
  await eventually(() => expect(connection.why).toBeUndefined());
  const counters = new RedisCounters({ connection, prefix: '', clock: 'redis', nowMs: Date.now });
  const bucket = counters.bucket({ counter: 'script', algorithm: 'fixed', perMs: 86_400_000 });
  const spend = async () =>
    (await counters.charge([{ kind: 'spend', bucket, key: 'k', cost: 1, limit: 10, burst: 10, perMs: 86_400_000 }]))[0];
  const admin = new Redis(single.url);
  await admin.script('FLUSH');
  await admin.config('RESETSTAT');
  for (let call = 0; call < 5; call++) await spend();
  await admin.script('FLUSH');
  expect((await spend())?.remaining).toBe(4);
  expect(await admin.info('commandstats')).toMatch(/cmdstat_eval:calls=2,/);
  admin.disconnect();
  connection.close();
});

test.each(Object.entries(CONFIGS))(
  '%s: a burst sends the script once to each server that lost it',
  async (name, config) => {
    const redis = await connectionOptions(z.object(redisShape).parse(config()), '/');
    const connection = openConnection({ redis, timeoutMs: 2000, onReady() {} });
    await eventually(() => expect(connection.why).toBeUndefined());
    const counters = new RedisCounters({ connection, prefix: '', clock: 'redis', nowMs: Date.now });
    const bucket = counters.bucket({ counter: 'burst', algorithm: 'fixed', perMs: 86_400_000 });
    const servers = name === 'one server' ? [single] : cluster.nodes;
    const admins = servers.map(({ url }) => new Redis(url));
    const sumOf = async (pattern: RegExp): Promise<number> => {
      const pages = await Promise.all(admins.map(async (admin) => admin.info('commandstats')));
      return pages.reduce((sum, page) => sum + Number(pattern.exec(page)?.[1] ?? 0), 0);
    };
    const burst = async () => {
      for (const admin of admins) await admin.config('RESETSTAT');
      await Promise.all(
        Array.from({ length: 200 }, async (_, at) =>
          counters.charge([{ kind: 'spend', bucket, key: `k${at}`, cost: 1, limit: 10, burst: 10, perMs: 86_400_000 }]),
        ),
      );
      return {
        sent: await sumOf(/cmdstat_eval:calls=(\d+)/),
        again: await sumOf(/cmdstat_evalsha:.*failed_calls=(\d+)/),
      };
    };
    for (const admin of admins) await admin.script('FLUSH');
    const first = await burst();
    // Over one connection the others follow the script, and none is sent again.
    if (name === 'one server') expect(first).toEqual({ sent: 1, again: 0 });
    else expect(first.sent).toBe(servers.length);
    for (const admin of admins) await admin.script('FLUSH');
    expect((await burst()).sent).toBe(servers.length);
    expect(await burst()).toEqual({ sent: 0, again: 0 });
    for (const admin of admins) admin.disconnect();
    connection.close();
  },
);
