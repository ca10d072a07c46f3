import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { safeText } from '../../../src/log/safe-text.ts';
import { redisAddress } from '../../../src/ratelimit/charge/redis-address.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';

interface Given {
  readonly type?: string;
  readonly socketType?: string;
  readonly url: string;
  readonly auth?: string;
  readonly sentinelAuth?: string;
}

const read = ({ type, socketType = 'tcp', url, auth, sentinelAuth }: Given) =>
  redisAddress(
    readSettings({
      REDIS_TYPE: type,
      REDIS_SOCKET_TYPE: socketType,
      REDIS_URL: url,
      REDIS_AUTH: auth,
      REDIS_SENTINEL_AUTH: sentinelAuth,
    }).settings,
    'REDIS',
  );
/** All of an address but its timeout and database. */
const named = (given: Given): object => {
  const { connectTimeout: _, db: __, ...rest } = read(given);
  return rest;
};
const AT = { host: '10.0.0.1', port: 6380 };

describe('REDIS_URL', () => {
  test.each([
    ['10.0.0.1:6380', {}, false],
    ['redis://10.0.0.1:6380', {}, false],
    ['REDIS://10.0.0.1:6380/', {}, false],
    ['rediss://10.0.0.1:6380', {}, true],
    ['redis://:s3cret@10.0.0.1:6380', { password: 's3cret' }, false],
    ['redis://default:s3cret@10.0.0.1:6380', { username: 'default', password: 's3cret' }, false],
    ['rediss://ann:p%40s%3As%2F%2C@10.0.0.1:6380', { username: 'ann', password: 'p@s:s/,' }, true],
    ['redis://ann:a:b@c@10.0.0.1:6380', { username: 'ann', password: 'a:b@c' }, false],
    ['redis://:@10.0.0.1:6380', {}, false],
  ])('%s', (url, credentials, isTls) => {
    expect(named({ url })).toEqual({
      ...AT,
      ...credentials,
      ...(isTls ? { tls: { servername: '' } } : {}),
    });
  });

  test.each([
    ['[::1]:6380', '::1'],
    ['redis://u:p@[fe80::1]:6380', 'fe80::1'],
  ])('of IPv6: %s', (url, host) => {
    expect(read({ url })).toMatchObject({ host, port: 6380 });
  });

  test('REDIS_AUTH is parted by its first colon, and says the same as the URL or stands alone', () => {
    expect(named({ url: '10.0.0.1:6380', auth: 'default:i>ch:wmz' })).toEqual({
      ...AT,
      username: 'default',
      password: 'i>ch:wmz',
    });
    expect(named({ url: 'redis://:pw@10.0.0.1:6380', auth: 'pw' })).toEqual({ ...AT, password: 'pw' });
  });

  test('sentinels have credentials of their own, and so has the master', () => {
    const url = 'redis://ann:pw@my master,redis://:guard@10.0.0.1:1, redis://:guard@10.0.0.2:2';
    expect(named({ type: 'SENTINEL', url })).toEqual({
      username: 'ann',
      password: 'pw',
      name: 'my master',
      sentinels: [
        { host: '10.0.0.1', port: 1 },
        { host: '10.0.0.2', port: 2 },
      ],
      sentinelPassword: 'guard',
    });
    expect(read({ type: 'SENTINEL', url: 'm,10.0.0.1:1', auth: 'a', sentinelAuth: 'u:b' })).toMatchObject({
      password: 'a',
      sentinelUsername: 'u',
      sentinelPassword: 'b',
    });
  });

  test('nodes of a cluster have the same', () => {
    expect(read({ type: 'CLUSTER', url: 'rediss://:pw@10.0.0.1:1,rediss://:pw@10.0.0.2:2' })).toMatchObject({
      tls: {},
      password: 'pw',
      cluster: [{ port: 1 }, { port: 2 }],
    });
  });

  test('a unix socket is a path', () => {
    expect(read({ socketType: 'unix', url: '/run/a b@c:1/redis.sock', auth: 'pw' })).toMatchObject({
      path: '/run/a b@c:1/redis.sock',
      password: 'pw',
    });
  });

  test.each<[string, Given, RegExp]>([
    ['an unknown scheme', { url: 'tcp://:s3cret@10.0.0.1:6380' }, /tcp:\/\/ is not known/],
    [
      'a unix socket that is a URL',
      { socketType: 'unix', url: 'redis://:s3cret@10.0.0.1:6380' },
      /SOCKET_TYPE is unix/,
    ],
    ...['10.0.0.1:6380', 'redis:6379', '[::1]:6379', 'default:s3cret@10.0.0.1:6380', '10.0.0.1:1,10.0.0.2:2'].map(
      (url): [string, Given, RegExp] => [
        `a unix socket that looks like an address, ${url}`,
        { socketType: 'unix', url },
        /; no such file is there, set REDIS_SOCKET_TYPE=tcp for a host and port$/,
      ],
    ),
    ['no port', { url: 'redis://:s3cret@redis.example' }, /"redis:\/\/\(secret\)@redis\.example", which is no address/],
    ['a database', { url: 'redis://:s3cret@10.0.0.1:6380/3' }, /without a path or database/],
    [
      'credentials without a scheme',
      { url: 'default:s3cret@10.0.0.1:6380' },
      /"\(secret\)@10\.0\.0\.1:6380", which is no address of Redis; redis:\/\/ is expected/,
    ],
    ['the same of a sentinel', { type: 'SENTINEL', url: 'm,:s3cret@10.0.0.1:6380' }, /redis:\/\/ is expected/],
    ['several for one server', { url: 'redis://:s3cret@10.0.0.1:1,10.0.0.2:2' }, /one HOST:PORT/],
    ['no sentinels', { type: 'SENTINEL', url: 'redis://:s3cret@10.0.0.1:1' }, /MASTER,HOST:PORT/],
    ['a percent that is none', { url: 'redis://:s3cret%@10.0.0.1:1' }, /%25/],
    ['two passwords', { url: 'redis://:s3cret@10.0.0.1:1', auth: 'other-s3cret' }, /give them once/],
    [
      'two passwords of one cluster',
      { type: 'CLUSTER', url: 'redis://:s3cret@a:1,redis://:other-s3cret@b:1' },
      /give them once/,
    ],
    ['a user alone', { url: 'redis://s3cret@10.0.0.1:1' }, /without a password/],
    ['both schemes', { type: 'CLUSTER', url: 'redis://:s3cret@a:1,rediss://:s3cret@b:1' }, /mixed/],
  ])('%s is refused, and the password is in no message', (_name, given, says) => {
    let message = '';
    try {
      read(given);
    } catch (error) {
      message = String(error);
    }
    expect(message).toMatch(says);
    expect(message).not.toContain('s3cret');
    expect(safeText(message)).toBe(message);
  });

  test('a unix socket may have any name, where there is a file of it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-redis-url-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const url = relative(process.cwd(), join(folder, 'redis:6379'));
    for (const path of [url, join(folder, 'redis:6379'), 'redis.sock', './redis:6379'])
      expect(named({ socketType: 'unix', url: path })).toEqual({ path });
    const before = process.cwd();
    onTestFinished(() => process.chdir(before));
    process.chdir(folder);
    expect(() => named({ socketType: 'unix', url: 'redis:6379' })).toThrow(/no such file/);
    writeFileSync('redis:6379', '');
    expect(named({ socketType: 'unix', url: 'redis:6379' })).toEqual({ path: 'redis:6379' });
  });
});
