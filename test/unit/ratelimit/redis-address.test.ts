/** REDIS_... and REDIS_PERSECOND_... as the address of a connection. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { redisAddress } from '../../../src/ratelimit/charge/redis-address.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';

const address = (env: Readonly<Record<string, string>>, setting: 'REDIS' | 'REDIS_PERSECOND' = 'REDIS') =>
  redisAddress(readSettings(env).settings, setting);
const TCP = { REDIS_SOCKET_TYPE: 'tcp' };

test.each([
  ['one server', { ...TCP, REDIS_URL: '10.0.0.1:6380' }, { host: '10.0.0.1', port: 6380 }],
  ['with a scheme', { ...TCP, REDIS_URL: 'redis://redis.local:6380' }, { host: 'redis.local', port: 6380 }],
  ['of IPv6', { ...TCP, REDIS_URL: '[::1]:6380' }, { host: '::1', port: 6380 }],
  ['a unix socket, where nothing is said', {}, { path: '/var/run/nutcracker/ratelimit.sock' }],
  ['a unix socket of any name', { REDIS_URL: '/run/a b%/redis.sock' }, { path: '/run/a b%/redis.sock' }],
  ['a user and a password', { REDIS_AUTH: 'p:w' }, { username: 'p', password: 'w' }],
  ['a password alone', { REDIS_AUTH: 'pw' }, { password: 'pw' }],
  ['a timeout', { REDIS_TIMEOUT: '100ms' }, { connectTimeout: 100 }],
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
    'TLS, by the host of the URL',
    { ...TCP, REDIS_URL: 'redis.local:1', REDIS_TLS: 'true' },
    { host: 'redis.local', port: 1, tls: {} },
  ],
])('%s', (_name, env, expected) => {
  expect(address(env)).toMatchObject(expected);
});

test('windows of a second have a Redis by its own names', () => {
  const env = { REDIS_PERSECOND_SOCKET_TYPE: 'tcp', REDIS_PERSECOND_URL: '10.0.0.9:9', REDIS_PERSECOND_AUTH: 'pw' };
  expect(address(env, 'REDIS_PERSECOND')).toMatchObject({ host: '10.0.0.9', port: 9, password: 'pw' });
});

test('TLS: files are read, and any name passes where the settings say so; without TLS they are not read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  const file = (name: string): string => {
    writeFileSync(join(folder, name), name);
    return join(folder, name);
  };
  const files = {
    REDIS_TLS_CACERT: file('ca.pem'),
    REDIS_TLS_CLIENT_CERT: file('own.pem'),
    REDIS_TLS_CLIENT_KEY: file('own.key'),
    REDIS_TLS_SKIP_HOSTNAME_VERIFICATION: 'true',
  };
  expect(address({ ...TCP, REDIS_URL: 'redis.local:1', REDIS_TLS: 'true', ...files }).tls).toEqual({
    servername: 'redis.local',
    ca: Buffer.from('ca.pem'),
    cert: Buffer.from('own.pem'),
    key: Buffer.from('own.key'),
    checkServerIdentity: expect.any(Function) as unknown,
  });
  rmSync(folder, { recursive: true });
  expect(address({ ...TCP, REDIS_URL: 'redis.local:1', ...files }).tls).toBeUndefined();
});
