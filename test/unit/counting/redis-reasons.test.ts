import { Cluster, Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { reasonOf } from '../../../src/counting/redis/reason.ts';
import { freePort } from '../../parts/free-port.ts';
import { startRedis } from '../../parts/redis.ts';

const firstError = (redis: Redis | Cluster): Promise<unknown> =>
  new Promise((resolve) => {
    redis.on('error', resolve); // later errors, too, are without a listener otherwise
  });

test('a cluster whose nodes are away says why, not that its slots cannot be read', async () => {
  const cluster = new Cluster([{ host: '127.0.0.1', port: await freePort() }], { clusterRetryStrategy: () => null });
  expect(reasonOf(await firstError(cluster))).toBe('Failed to refresh slots cache: Connection is closed.');
  cluster.disconnect();
});

test('sentinels that are away make one message, whatever the back-off', async () => {
  const sentinels = [{ host: '127.0.0.1', port: await freePort() }];
  const redis = new Redis({ name: 'main', sentinels, sentinelRetryStrategy: () => 763.98, maxRetriesPerRequest: 0 });
  expect(reasonOf(await firstError(redis))).toBe('All sentinels are unreachable. Last error: Connection is closed.');
  redis.disconnect();
});

test('a command that the server does not have is named without its arguments, which clients sent', async () => {
  const server = await startRedis({ args: ['--rename-command', 'GET', ''] });
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  const error: unknown = await redis.get('shop_token_s3cr3t').catch((thrown: unknown) => thrown);
  expect(String(error)).toContain('s3cr3t');
  expect(reasonOf(error)).toBe("ERR unknown command 'get'");
  redis.disconnect();
});
