/** From settings to a connection: one server, one behind sentinels, or a cluster. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { Cluster, Redis } from 'ioredis';
import type { ReconnectOptions } from '../../counting/redis/upkeep.ts';
import { type HostPort, readRedisUrl, type RedisUrl } from './redis-url.ts';

export interface RedisPlace extends RedisUrl {
  /** REDIS_TLS: as if the URL said rediss://. */
  readonly isTls: boolean;
  /** Files, for the case that TLS is spoken; empty for none. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string; readonly anyName: boolean };
  readonly connectTimeoutMs: number;
}

/** A node of a cluster that hangs is noticed by the slots that the others have taken over. */
const SLOTS_LOOKED_AT_EVERY_MS = 5000;

/** Throws where the place is no place, or a file of TLS cannot be read. Connects by itself, and again. */
export function connectRedis(place: RedisPlace, { retryStrategy, ...reconnect }: ReconnectOptions): Redis | Cluster {
  const { isTls: isTlsByUrl, credentials, sentinelCredentials, path, master, addresses } = readRedisUrl(place);
  const tls = place.isTls || isTlsByUrl ? tlsOf(place.tls) : undefined;
  const options = {
    ...reconnect,
    connectTimeout: place.connectTimeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy,
    ...credentials,
    ...(tls === undefined ? {} : { tls }),
  };
  if (path !== undefined) return new Redis({ ...options, path });
  if (master !== undefined) {
    const { username: sentinelUsername, password: sentinelPassword } = sentinelCredentials;
    return new Redis({
      ...options,
      name: master,
      sentinels: [...addresses],
      sentinelRetryStrategy: retryStrategy,
      sentinelCommandTimeout: place.connectTimeoutMs,
      failoverDetector: true,
      ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
      ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
      ...(tls === undefined ? {} : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    });
  }
  if (place.type !== 'CLUSTER') return new Redis({ ...options, ...(addresses[0] as HostPort) });
  return new Cluster([...addresses], {
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    redisOptions: options,
    clusterRetryStrategy: retryStrategy,
    slotsRefreshTimeout: place.connectTimeoutMs,
    slotsRefreshInterval: SLOTS_LOOKED_AT_EVERY_MS,
    ...(tls === undefined
      ? {}
      : { dnsLookup: (address: string, found: (error: null, address: string) => void) => found(null, address) }), // the certificate names the host
  });
}

function tlsOf({ ca, cert, key, anyName }: RedisPlace['tls']): ConnectionOptions {
  return {
    ...(ca === '' ? {} : { ca: readFileSync(ca) }),
    ...(cert === '' ? {} : { cert: readFileSync(cert), key: readFileSync(key) }),
    ...(anyName ? { checkServerIdentity: () => undefined } : {}),
  };
}
