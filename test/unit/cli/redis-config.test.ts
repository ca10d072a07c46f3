/** REDIS_... of `sluice ratelimit`, read by the schema of quota-redis and made a connection's address: what its own connection is made of too. */
import { expect, test } from 'vitest';
import quotaRedis from '../../../plugins/quota-redis/adapter.ts';
import type { RedisStoreConfig } from '../../../src/counting/index.ts';
import { connectionOptions } from '../../../src/counting/redis/config.ts';
import { redisConfig } from '../../../src/serve/ratelimit/redis-config.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';

const config = (env: Readonly<Record<string, string>>, pool: 'REDIS' | 'REDIS_PERSECOND' = 'REDIS') =>
  quotaRedis.config.parse(redisConfig(readSettings(env).settings, pool)) as RedisStoreConfig;
const TCP = { REDIS_SOCKET_TYPE: 'tcp' };

test.each([
  ['one server', { ...TCP, REDIS_URL: '10.0.0.1:6380' }, { host: '10.0.0.1', port: 6380 }],
  ['with a scheme', { ...TCP, REDIS_URL: 'redis://redis.local:6380' }, { host: 'redis.local', port: 6380 }],
  ['of IPv6', { ...TCP, REDIS_URL: '[::1]:6380' }, { host: '::1', port: 6380 }],
  ['a unix socket, where nothing is said', {}, { path: '/var/run/nutcracker/ratelimit.sock' }],
  ['a unix socket of any name', { REDIS_URL: '/run/a b%/redis.sock' }, { path: '/run/a b%/redis.sock' }],
  ['a password', { REDIS_AUTH: 'p:w' }, { username: 'p', password: 'w' }],
  ['a password alone', { REDIS_AUTH: 'pw' }, { password: 'pw' }],
  [
    'sentinels',
    {
      ...TCP,
      REDIS_TYPE: 'SENTINEL',
      REDIS_URL: 'my master, 10.0.0.1:1,redis://10.0.0.2:2',
      REDIS_SENTINEL_AUTH: 'u:pw',
    },
    {
      name: 'my master',
      sentinels: [
        { host: '10.0.0.1', port: 1 },
        { host: '10.0.0.2', port: 2 },
      ],
      sentinelUsername: 'u',
      sentinelPassword: 'pw',
    },
  ],
  [
    'a cluster',
    { ...TCP, REDIS_TYPE: 'CLUSTER', REDIS_URL: '10.0.0.1:1,10.0.0.2:2' },
    {
      cluster: [
        { host: '10.0.0.1', port: 1 },
        { host: '10.0.0.2', port: 2 },
      ],
    },
  ],
  [
    'TLS',
    { ...TCP, REDIS_URL: 'redis.local:1', REDIS_TLS: 'true' },
    { host: 'redis.local', port: 1, tls: { servername: 'redis.local' } },
  ],
])('%s', async (_name, env, expected) => {
  expect(await connectionOptions(config(env), '/')).toMatchObject(expected);
});

test('that of windows of a second is read by its own names', async () => {
  expect(
    await connectionOptions(
      config(
        { REDIS_PERSECOND_SOCKET_TYPE: 'tcp', REDIS_PERSECOND_URL: '10.0.0.9:9', REDIS_PERSECOND_AUTH: 'pw' },
        'REDIS_PERSECOND',
      ),
      '/',
    ),
  ).toMatchObject({ host: '10.0.0.9', port: 9, password: 'pw' });
});

test('TLS: files, and any name', () => {
  const files = {
    REDIS_TLS_CACERT: '/ca.pem',
    REDIS_TLS_CLIENT_CERT: '/own.pem',
    REDIS_TLS_CLIENT_KEY: '/own.key',
    REDIS_TLS_SKIP_HOSTNAME_VERIFICATION: 'true',
  };
  expect(config({ ...TCP, REDIS_URL: 'redis.local:1', REDIS_TLS: 'true', ...files }).tls).toEqual({
    ca: '/ca.pem',
    cert: '/own.pem',
    key: '/own.key',
    anyName: true,
  });
  expect(config({ ...TCP, REDIS_URL: 'redis.local:1', ...files }).tls).toBeUndefined();
});

test('a connection is given up when an answer is long overdue, and keys have the prefix of the others', () => {
  expect(config({ ...TCP, REDIS_URL: 'redis.local:1', CACHE_KEY_PREFIX: 'edge:' })).toMatchObject({
    timeoutMs: 500,
    connectTimeoutMs: 1000,
    prefix: 'edge:sluice:limits:',
  });
  expect(
    config({ ...TCP, REDIS_URL: 'redis.local:1', SLUICE_REDIS_DEADLINE: '2s', REDIS_TIMEOUT: '100ms' }),
  ).toMatchObject({ timeoutMs: 2000, connectTimeoutMs: 100 });
});
