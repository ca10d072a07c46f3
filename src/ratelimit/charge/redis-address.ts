/** The address of a Redis, as REDIS_... or REDIS_PERSECOND_... name it. Throws where they name none, or a file of TLS cannot be read. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { RedisAddress } from '../../counting/redis/config.ts';
import type { Settings } from '../settings/settings.ts';
import { type HostPort, readRedisUrl } from './redis-url.ts';

export function redisAddress(settings: Settings, setting: 'REDIS' | 'REDIS_PERSECOND'): RedisAddress {
  const type = settings[`${setting}_TYPE`];
  const { isTls, credentials, sentinelCredentials, path, master, addresses } = readRedisUrl({
    type,
    socketType: settings[`${setting}_SOCKET_TYPE`],
    url: settings[`${setting}_URL`],
    auth: settings[`${setting}_AUTH`],
    sentinelAuth: settings[`${setting}_SENTINEL_AUTH`],
  });
  const tls = settings[`${setting}_TLS`] || isTls ? tlsOf(settings) : undefined;
  const common = {
    db: 0,
    connectTimeout: settings.REDIS_TIMEOUT,
    ...credentials,
    ...(tls === undefined ? {} : { tls }),
  };
  if (path !== undefined) return { ...common, shown: path, path };
  const shown = addresses.map(hostPort).join(', ');
  if (master !== undefined) {
    const { username, password } = sentinelCredentials;
    return {
      ...common,
      shown: `${master} (of ${shown})`,
      name: master,
      sentinels: [...addresses],
      ...(username === undefined ? {} : { sentinelUsername: username }),
      ...(password === undefined ? {} : { sentinelPassword: password }),
      ...(tls === undefined ? {} : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    };
  }
  const [first] = addresses as [HostPort];
  return { ...common, shown, ...first, ...(type === 'CLUSTER' ? { cluster: [...addresses] } : {}) };
}

const hostPort = ({ host, port }: HostPort): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

function tlsOf(settings: Settings): ConnectionOptions {
  const { REDIS_TLS_CACERT: ca, REDIS_TLS_CLIENT_CERT: cert, REDIS_TLS_CLIENT_KEY: key } = settings;
  return {
    ...(ca === '' ? {} : { ca: readFileSync(ca) }),
    ...(cert === '' ? {} : { cert: readFileSync(cert), key: readFileSync(key) }),
    ...(settings.REDIS_TLS_SKIP_HOSTNAME_VERIFICATION ? { checkServerIdentity: () => undefined } : {}),
  };
}
