import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PACKAGE_FOLDER } from '../../../src/cli/package.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';
import { settingsDocument } from '../../../src/ratelimit/settings/document.ts';
import { namedValues } from '../../../src/ratelimit/settings/setting.ts';

describe('settings', () => {
  test("defaults are the reference's", () => {
    const { settings, problems, warnings } = readSettings({ PORT: '' });
    expect([problems, warnings]).toEqual([[], []]);
    expect(settings).toMatchObject({
      PORT: 8080,
      GRPC_PORT: 8081,
      DEBUG_PORT: 6070,
      RUNTIME_ROOT: '/srv/runtime_data/current',
      EXPIRATION_JITTER_MAX_SECONDS: 300,
      NEAR_LIMIT_RATIO: 0.8,
      REDIS_TYPE: 'SINGLE',
      USE_STATSD: true,
      GRPC_MAX_CONNECTION_AGE: 86_400_000,
    });
  });

  test.each([
    ['T', true],
    ['1', true],
    ['TRUE', true],
    ['f', false],
    ['0', false],
  ])('a flag is read as Go reads it: %s', (text, value) => {
    expect(readSettings({ SHADOW_MODE: text }).settings.SHADOW_MODE).toBe(value);
  });

  test.each([
    ['10s', 10_000],
    ['1h30m', 5_400_000],
    ['150us', 0.15],
    ['1.5s', 1500],
    ['0', 0],
  ])('a duration is read as Go reads it: %s', (text, value) => {
    expect(readSettings({ STATS_FLUSH_INTERVAL: text }).settings.STATS_FLUSH_INTERVAL).toBe(value);
  });

  test('a word of a list is read in any case', () => {
    expect(readSettings({ REDIS_TYPE: 'sentinel', REDIS_SOCKET_TYPE: 'TCP' }).settings).toMatchObject({
      REDIS_TYPE: 'SENTINEL',
      REDIS_SOCKET_TYPE: 'tcp',
    });
  });

  test.each([
    [{ PORT: '80a' }, 'PORT is "80a"; expected a whole number'],
    [{ SHADOW_MODE: 'yes' }, 'SHADOW_MODE is "yes"; expected true or false'],
    [{ STATS_FLUSH_INTERVAL: '10' }, 'STATS_FLUSH_INTERVAL is "10"; expected a duration such as 150ms or 24h'],
    [{ BACKEND_TYPE: 'memcache' }, 'BACKEND_TYPE is "memcache"; expected one of redis, memory'],
    [{ TRACING_EXPORTER_PROTOCOL: 'udp' }, 'TRACING_EXPORTER_PROTOCOL is "udp"; expected one of http, grpc'],
    [{ GRPC_SERVER_USE_TLS: 'true' }, 'GRPC_SERVER_USE_TLS needs GRPC_SERVER_TLS_CERT and GRPC_SERVER_TLS_KEY'],
    [{ REDIS_TLS_CLIENT_CERT: 'a.pem' }, 'REDIS_TLS_CLIENT_CERT and REDIS_TLS_CLIENT_KEY must be set together'],
    [{ SLUICE_WORKERS: '0' }, 'SLUICE_WORKERS is "0"; expected a whole number from 1 to 256'],
    [
      { SLUICE_WORKERS: '2', GRPC_UDS: '/run/a.sock' },
      'SLUICE_WORKERS and GRPC_UDS cannot be combined: workers share a port, but cannot share a unix socket; set GRPC_HOST and GRPC_PORT, or one worker',
    ],
  ])('%j is a problem that says what is expected', (env, problem) => {
    expect(readSettings(env).problems).toEqual([problem]);
  });

  test('a setting without effect is a warning', () => {
    expect(readSettings({ REDIS_POOL_SIZE: '10' }).warnings).toEqual([
      'REDIS_POOL_SIZE has no effect: no pool is used; one connection carries all commands, pipelined',
    ]);
  });

  test('tags are separated by commas, a name from its value by the first colon', () => {
    expect([...namedValues('a:b, c:d:e,nothing', ':')]).toEqual([
      ['a', 'b'],
      ['c', 'd:e'],
    ]);
  });

  test('docs/ratelimit-settings.md is up to date (npm run generate)', () => {
    expect(readFileSync(join(PACKAGE_FOLDER, 'docs/ratelimit-settings.md'), 'utf8')).toBe(settingsDocument());
  });
});
