/** From settings to a connection: one server, one behind sentinels, or a cluster. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { Cluster, Redis } from 'ioredis';
import type { ReconnectOptions } from '../../plugins/redis-client/upkeep.ts';

export interface RedisPlace {
  readonly socketType: string;
  readonly type: string;
  readonly url: string;
  readonly auth: string;
  readonly sentinelAuth: string;
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string; readonly anyName: boolean } | undefined;
  readonly connectTimeoutMs: number;
}

/** A node of a cluster that hangs is noticed by the slots that the others have taken over. */
const SLOTS_LOOKED_AT_EVERY_MS = 5000;

/** Throws where the place is no place, or a file of TLS cannot be read. Connects by itself, and again. */
export function connectRedis(place: RedisPlace, { retryStrategy, ...reconnect }: ReconnectOptions): Redis | Cluster {
  const options = {
    ...reconnect, connectTimeout: place.connectTimeoutMs, enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0,
    retryStrategy,
    ...authOf(place.auth), ...(place.tls === undefined ? {} : { tls: tlsOf(place.tls) }),
  };
  switch (place.type) {
    case 'SENTINEL': {
      const [name = '', ...sentinels] = place.url.split(',').map((part) => part.trim());
      if (sentinels.length === 0) throw new Error(`"${place.url}" is no list of sentinels; MASTER,HOST:PORT,HOST:PORT is expected`);
      const { username: sentinelUsername, password: sentinelPassword } = authOf(place.sentinelAuth);
      return new Redis({
        ...options, name, sentinels: sentinels.map(addressOf), sentinelRetryStrategy: retryStrategy, sentinelCommandTimeout: place.connectTimeoutMs, failoverDetector: true,
        ...(sentinelPassword === undefined ? {} : { sentinelPassword }), ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
        ...(place.tls === undefined ? {} : { sentinelTLS: tlsOf(place.tls), enableTLSForSentinelMode: true }),
      });
    }
    case 'CLUSTER':
      return new Cluster(place.url.split(',').map((part) => addressOf(part.trim())), {
        enableOfflineQueue: false, enableAutoPipelining: true, redisOptions: options, clusterRetryStrategy: retryStrategy, slotsRefreshTimeout: place.connectTimeoutMs,
        slotsRefreshInterval: SLOTS_LOOKED_AT_EVERY_MS,
        ...(place.tls === undefined ? {} : { dnsLookup: (address: string, found: (error: null, address: string) => void) => found(null, address) }), // the certificate names the host
      });
    default:
      return place.socketType === 'unix' ? new Redis({ ...options, path: place.url }) : new Redis({ ...options, ...addressOf(place.url) });
  }
}

function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [, host = '', port = ''] = /^(?:\w+:\/\/)?\[?([^\]\s,]+?)\]?:(\d+)$/.exec(text) ?? [];
  if (host === '') throw new Error(`"${text}" is no address of Redis; HOST:PORT is expected`);
  return { host, port: Number(port) };
}

function authOf(auth: string): { readonly username?: string; readonly password?: string } {
  if (auth === '') return {};
  const at = auth.indexOf(':');
  return at < 0 ? { password: auth } : { username: auth.slice(0, at), password: auth.slice(at + 1) };
}

function tlsOf({ ca, cert, key, anyName }: NonNullable<RedisPlace['tls']>): ConnectionOptions {
  return {
    ...(ca === '' ? {} : { ca: readFileSync(ca) }), ...(cert === '' ? {} : { cert: readFileSync(cert), key: readFileSync(key) }),
    ...(anyName ? { checkServerIdentity: () => undefined } : {}),
  };
}
