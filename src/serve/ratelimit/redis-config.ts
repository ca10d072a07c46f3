/** REDIS_... of `sluice ratelimit`, as the config of quota-redis says them. */
import { perSecondPlaceOf, placeOf } from '../../ratelimit/charge/open-stores.ts';
import type { RedisPlace } from '../../ratelimit/charge/redis-connect.ts';
import { type HostPort, readRedisUrl, type RedisAddresses } from '../../ratelimit/charge/redis-url.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';

type Pool = 'REDIS' | 'REDIS_PERSECOND';

/** Our counters stand beside those of envoyproxy/ratelimit, and beside those of `sluice serve`. */
const OWN_PREFIX = 'sluice:limits:';
/** A connection that says nothing for so long is given up; an answer is late before. */
const HUNG_MS = 500;
/** Opening waits for the connection; it is made again and again afterwards. */
const MOST_CONNECT_MS = 1000;

/** The adapter's schema looks at it. Throws where REDIS_URL is no address. */
export function redisConfig(settings: Settings, pool: Pool): Readonly<Record<string, unknown>> {
  const place = pool === 'REDIS' ? placeOf(settings) : perSecondPlaceOf(settings);
  const addresses = readRedisUrl(place);
  const isTls = place.isTls || addresses.isTls;
  return {
    ...whereOf(addresses, place.type, isTls ? 'rediss' : 'redis'),
    ...(isTls ? { tls: tlsOf(place) } : {}),
    ...addresses.credentials,
    prefix: `${settings.CACHE_KEY_PREFIX}${OWN_PREFIX}`,
    timeoutMs: Math.ceil(Math.max(HUNG_MS, settings.SLUICE_REDIS_DEADLINE)),
    connectTimeoutMs: Math.max(1, Math.ceil(Math.min(MOST_CONNECT_MS, settings.REDIS_TIMEOUT))),
  };
}

function whereOf(
  { path, master, addresses, sentinelCredentials: { username, password } }: RedisAddresses,
  type: string,
  scheme: string,
): Readonly<Record<string, unknown>> {
  if (path !== undefined) return { url: `redis+unix://${path.split('/').map(encodeURIComponent).join('/')}` };
  const [first = '', ...others] = addresses.map(hostPort);
  if (master === undefined) return { url: `${scheme}://${first}`, ...(type === 'CLUSTER' ? { cluster: others } : {}) };
  return {
    url: `${scheme}://${encodeURIComponent(master)}`,
    sentinels: [first, ...others],
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
  };
}

const hostPort = ({ host, port }: HostPort): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

const tlsOf = ({ tls: { ca, cert, key, anyName } }: RedisPlace): Readonly<Record<string, unknown>> => ({
  ...(ca === '' ? {} : { ca }),
  ...(cert === '' ? {} : { cert, key }),
  anyName,
});
