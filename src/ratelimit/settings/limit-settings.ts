import { OUTAGES } from '../config/tree.ts';
import { table } from './setting.ts';

export const ANSWERS = table(
  { name: 'SHADOW_MODE', kind: 'flag', means: 'refuse nothing, only count' },
  { name: 'QUOTA_MODE', kind: 'flag', means: 'every limit is a quota' },
  {
    name: 'STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT',
    kind: 'flag',
    means: 'a request that one limit refuses is not charged to the others, as far as a look before the charge can tell',
  },
  {
    name: 'SLUICE_SAFE',
    kind: 'flag',
    means:
      'unambiguous keys, and a refused request is charged to no limit; ' +
      'not compatible with replicas of envoyproxy/ratelimit on the same Redis',
  },
  {
    name: 'USE_CALENDAR_MONTH_RATE_LIMIT',
    kind: 'flag',
    means: '`unit: month` is a calendar month in UTC, in place of 30 days',
  },
  {
    name: 'NEAR_LIMIT_RATIO',
    kind: 'ratio',
    default: 0.8,
    means: 'part of a limit beyond which hits count as near_limit',
  },
  {
    name: 'LIMIT_RESPONSE_HEADERS_ENABLED',
    kind: 'flag',
    means: 'send limit, remaining and reset as response headers',
  },
  { name: 'LIMIT_LIMIT_HEADER', kind: 'text', default: 'RateLimit-Limit', means: 'name of the limit header' },
  {
    name: 'LIMIT_REMAINING_HEADER',
    kind: 'text',
    default: 'RateLimit-Remaining',
    means: 'name of the remaining header',
  },
  {
    name: 'LIMIT_RESET_HEADER',
    kind: 'text',
    default: 'RateLimit-Reset',
    means: 'name of the reset header, in seconds',
  },
  {
    name: 'SLUICE_IETF_HEADERS',
    kind: 'flag',
    means:
      'send RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), and Retry-After with a refusal',
  },
  {
    name: 'RESPONSE_DYNAMIC_METADATA',
    kind: 'flag',
    means: 'send the request and the metadata of its rules as dynamic metadata',
  },
);

export const COUNTING = table(
  {
    name: 'BACKEND_TYPE',
    kind: ['redis', 'memory'],
    default: 'redis',
    means: 'where counters are kept; `memory` (ours): in this process alone',
  },
  { name: 'CACHE_KEY_PREFIX', kind: 'text', means: 'prefix of every key in Redis' },
  {
    name: 'EXPIRATION_JITTER_MAX_SECONDS',
    kind: 'count',
    default: 300,
    means: 'longest random time added to the expiry of a key',
  },
  {
    name: 'LOCAL_CACHE_SIZE_IN_BYTES',
    kind: 'count',
    default: 0,
    means: 'size of the cache of counters that are over, for which Redis is not asked; 0: no cache',
  },
  {
    name: 'SLUICE_ESCROW',
    kind: 'flag',
    means:
      'lease units from Redis in chunks and spend them here; most answers take no round trip, and a refused request is not charged',
  },
  {
    name: 'SLUICE_OUTAGE',
    kind: OUTAGES,
    default: 'error',
    means:
      "answer while Redis is unavailable; `error`: gRPC's UNKNOWN, as the reference; `open`, `closed`; " +
      '`local`: count here, up to a share of the limit. A limit overrides it by `rate_limit: { sluice: { outage: WORD } }`',
  },
  {
    name: 'SLUICE_REPLICAS',
    kind: 'count',
    default: 1,
    means: 'processes that share a limit while it is counted locally',
  },
  {
    name: 'SLUICE_MAX_KEYS',
    kind: 'count',
    default: 1_000_000,
    means:
      'maximum of counters with BACKEND_TYPE=memory, 600 bytes each at most. When all are in use, SLUICE_OUTAGE answers a call with a ' +
      'new key, unless its limit has less than its share of the counters',
  },
);

const REDIS_TYPES = ['SINGLE', 'SENTINEL', 'CLUSTER'] as const;

export const REDIS = table(
  { name: 'REDIS_TYPE', kind: REDIS_TYPES, default: 'SINGLE', means: 'kind of deployment' },
  { name: 'REDIS_SOCKET_TYPE', kind: ['unix', 'tcp'], default: 'unix', means: 'kind of socket' },
  {
    name: 'REDIS_URL',
    kind: 'text',
    default: '/var/run/nutcracker/ratelimit.sock',
    means:
      '`[SCHEME://[USER:PASSWORD@]]HOST:PORT`, or the path of a socket; SENTINEL: `MASTER,HOST:PORT,...`; CLUSTER: `HOST:PORT,...`. ' +
      'SCHEME is `redis`, or `rediss` for TLS; user and password are percent-encoded',
  },
  { name: 'REDIS_AUTH', kind: 'text', means: 'PASSWORD or USER:PASSWORD' },
  { name: 'REDIS_SENTINEL_AUTH', kind: 'text', means: 'the same for the sentinels' },
  {
    name: 'SLUICE_REDIS_DEADLINE',
    kind: 'duration',
    default: 15,
    means: 'time allowed for an answer of Redis; Envoy allows 20 ms for the whole call by default',
  },
  { name: 'REDIS_TIMEOUT', kind: 'duration', default: 10_000, means: 'time allowed for a connection' },
  { name: 'REDIS_TLS', kind: 'flag', means: 'connect over TLS' },
  { name: 'REDIS_TLS_CLIENT_CERT', kind: 'text', means: 'PEM file of the client certificate' },
  { name: 'REDIS_TLS_CLIENT_KEY', kind: 'text', means: 'PEM file of its key' },
  { name: 'REDIS_TLS_CACERT', kind: 'text', means: 'PEM file of the certificate authority to trust' },
  { name: 'REDIS_TLS_SKIP_HOSTNAME_VERIFICATION', kind: 'flag', means: "accept any name in Redis' certificate" },
  {
    name: 'REDIS_PERSECOND',
    kind: 'flag',
    means: 'count windows of a second in a second Redis; the settings below say which',
  },
  { name: 'REDIS_PERSECOND_TYPE', kind: REDIS_TYPES, default: 'SINGLE', means: 'kind of deployment' },
  { name: 'REDIS_PERSECOND_SOCKET_TYPE', kind: ['unix', 'tcp'], default: 'unix', means: 'kind of socket' },
  {
    name: 'REDIS_PERSECOND_URL',
    kind: 'text',
    default: '/var/run/nutcracker/ratelimitpersecond.sock',
    means: 'as REDIS_URL',
  },
  { name: 'REDIS_PERSECOND_AUTH', kind: 'text', means: 'PASSWORD or USER:PASSWORD' },
  { name: 'REDIS_PERSECOND_SENTINEL_AUTH', kind: 'text', means: 'the same for its sentinels' },
  { name: 'REDIS_PERSECOND_TLS', kind: 'flag', means: 'connect over TLS, with the certificates of REDIS_TLS_...' },
);
