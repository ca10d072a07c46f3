/** REDIS_... of `sluice ratelimit`, as the config of quota-redis says them. */
import type { Settings } from '../ratelimit/settings.ts';

type Pool = 'REDIS' | 'REDIS_PERSECOND';

/** Our counters stand beside those of envoyproxy/ratelimit, and beside those of `sluice serve`. */
const OWN_PREFIX = 'sluice:limits:';
/** A connection that says nothing for so long is given up; an answer is late before. */
const HUNG_MS = 500;
/** Opening waits for the connection; it is made again and again afterwards. */
const MOST_CONNECT_MS = 1000;

/** The adapter's schema looks at it. */
export function redisConfig(settings: Settings, pool: Pool): Readonly<Record<string, unknown>> {
  const isTls = settings[`${pool}_TLS`];
  const [username, password] = authOf(settings[`${pool}_AUTH`]);
  return {
    ...placeOf(settings, pool, isTls ? 'rediss' : 'redis'), ...tlsOf(settings, isTls), ...(username === '' ? {} : { username }), ...(password === '' ? {} : { password }),
    prefix: `${settings.CACHE_KEY_PREFIX}${OWN_PREFIX}`, timeoutMs: Math.ceil(Math.max(HUNG_MS, settings.SLUICE_REDIS_DEADLINE)), connectTimeoutMs: Math.max(1, Math.ceil(Math.min(MOST_CONNECT_MS, settings.REDIS_TIMEOUT))),
  };
}

function placeOf(settings: Settings, pool: Pool, scheme: string): Readonly<Record<string, unknown>> {
  const url = settings[`${pool}_URL`];
  const [first = '', ...others] = url.split(',').map((part) => part.trim().replace(/^\w+:\/\//, ''));
  switch (settings[`${pool}_TYPE`]) {
    case 'SENTINEL': {
      const [sentinelUsername, sentinelPassword] = authOf(settings[`${pool}_SENTINEL_AUTH`]);
      return { url: `${scheme}://${encodeURIComponent(first)}`, sentinels: others, ...(sentinelUsername === '' ? {} : { sentinelUsername }), ...(sentinelPassword === '' ? {} : { sentinelPassword }) };
    }
    case 'CLUSTER': return { url: `${scheme}://${first}`, cluster: others };
    default: return { url: settings[`${pool}_SOCKET_TYPE`] === 'unix' ? `redis+unix://${url.split('/').map(encodeURIComponent).join('/')}` : `${scheme}://${first}` };
  }
}

function tlsOf(settings: Settings, isTls: boolean): Readonly<Record<string, unknown>> {
  if (!isTls) return {};
  const { REDIS_TLS_CACERT: ca, REDIS_TLS_CLIENT_CERT: cert, REDIS_TLS_CLIENT_KEY: key } = settings;
  return { tls: { ...(ca === '' ? {} : { ca }), ...(cert === '' ? {} : { cert, key }), anyName: settings.REDIS_TLS_SKIP_HOSTNAME_VERIFICATION } };
}

/** PASSWORD, or USER:PASSWORD. */
function authOf(auth: string): [username: string, password: string] {
  const at = auth.indexOf(':');
  return at < 0 ? ['', auth] : [auth.slice(0, at), auth.slice(at + 1)];
}
