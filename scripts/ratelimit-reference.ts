/**
 * `sluice ratelimit` beside envoyproxy/ratelimit itself: the same files, settings and requests, a Redis each. Answers, keys, counts and
 * metrics have to be the same. Then both on one Redis, as while a fleet is moved. It needs Go. `npm run ratelimit:reference`.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { create, fromBinary, type MessageInitShape, toBinary, toJson } from '@bufbuild/protobuf';
import { Redis } from 'ioredis';
import { RateLimitRequestSchema, RateLimitResponseSchema } from '../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { dialGrpc, GrpcError } from '../src/transport/index.ts';
import {
  type RateLimitPart,
  referenceProgram,
  startReference,
  startSluiceRatelimit,
} from '../test/parts/ratelimits.ts';
import { startRedis } from '../test/parts/redis.ts';

type Request = MessageInitShape<typeof RateLimitRequestSchema>;
const RUNS = Number(process.env['RUNS'] ?? 2000);
const PATH = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';

const CONFIG = `
domain: shop
descriptors:
  - key: user
    rate_limit: { unit: day, requests_per_unit: 20 }
    descriptors:
      - key: path
        value: /a
        rate_limit: { unit: week, requests_per_unit: 7, name: a }
      - key: path
        rate_limit: { unit: month, requests_per_unit: 12, replaces: [{ name: two }] }
  - key: user
    value: ann
    rate_limit: { unit: day, requests_per_unit: 5 }
    shadow_mode: true
  - key: user
    value: bob
    rate_limit: { unlimited: true }
  - key: files
    value: img/*
    share_threshold: true
    rate_limit: { unit: day, requests_per_unit: 9 }
  - key: files
    value: js/*
    value_to_metric: true
    rate_limit: { unit: day, requests_per_unit: 3 }
  - key: two
    rate_limit: { unit: year, requests_per_unit: 4, name: two }
  - key: detailed
    detailed_metric: true
    rate_limit: { unit: day, requests_per_unit: 6 }
    descriptors:
      - key: more
        rate_limit: { unit: day, requests_per_unit: 2 }
  - key: none
  - key: zero
    rate_limit: { unit: day, requests_per_unit: 0 }
  - key: a_b
    rate_limit: { unit: day, requests_per_unit: 3 }
`;

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }
}

function randomRequest(random: Random): Request {
  const entry = (): { key: string; value: string } =>
    random.one([
      { key: 'user', value: random.one(['ann', 'bob', 'cid', 'dan', '10.0.0.1', 'a:b|c']) },
      { key: 'files', value: random.one(['img/1', 'img/2', 'js/1', 'css']) },
      { key: 'two', value: random.one(['', 'x']) },
      { key: 'detailed', value: random.one(['p', 'q.r']) },
      { key: 'none', value: '1' },
      { key: 'zero', value: '' },
      { key: 'a', value: 'b' },
      { key: 'what', value: 'ever' },
    ]);
  return {
    domain: random.one(['shop', 'shop', 'shop', 'shop', 'shop', 'shop', 'other', '']),
    hitsAddend: random.one([0, 0, 0, 1, 2]),
    descriptors: Array.from({ length: random.one([0, 1, 1, 1, 2, 3]) }, () => ({
      entries: [
        entry(),
        ...(random.below(3) === 0 ? [{ key: random.one(['path', 'more']), value: random.one(['/a', '/b']) }] : []),
      ],
      ...(random.below(10) === 0
        ? { limit: { requestsPerUnit: random.below(6), unit: random.one([3, 4, 5, 6]) } }
        : {}),
      ...(random.below(6) === 0 ? { hitsAddend: BigInt(random.below(4)) } : {}),
    })),
  };
}

/** Each window that there is ends at a time of its own; which, within two seconds. */
function endOf(seconds: number): number {
  const nowS = Date.now() / 1000;
  const known = [3600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400].find(
    (windowS) => Math.abs(windowS - (nowS % windowS) - seconds) < 2,
  );
  return known ?? -1;
}

async function answerOf(client: ReturnType<typeof dialGrpc>, request: Request): Promise<unknown> {
  try {
    const response = fromBinary(
      RateLimitResponseSchema,
      await client.unary(PATH, toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, request)), {
        timeoutMs: 5000,
      }),
    );
    for (const { durationUntilReset } of response.statuses)
      if (durationUntilReset !== undefined)
        durationUntilReset.seconds = BigInt(endOf(Number(durationUntilReset.seconds)));
    for (const header of response.responseHeadersToAdd)
      if (header.key === 'RateLimit-Reset') header.value = String(endOf(Number(header.value)));
    return toJson(RateLimitResponseSchema, response);
  } catch (error) {
    if (error instanceof GrpcError) return `${error.code} ${error.message}`;
    throw error;
  }
}

async function countsOf(redis: Redis): Promise<Record<string, string | null>> {
  const keys = (await redis.keys('*')).toSorted();
  return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await redis.get(key)] as const)));
}

/**
 * By name and labels. Times differ, and each has gauges of its own. Of limits of two keys the reference's page adds what its local cache
 * refused to over_limit a second time (its pattern has no end), which is not copied.
 */
async function metricsOf(part: RateLimitPart, hasLocalCache: boolean): Promise<Record<string, string>> {
  const text = await (await fetch(`http://127.0.0.1:${part.prometheusPort}/metrics`)).text();
  const lines = [...text.matchAll(/^(ratelimit_(?:service_(?!response_time)|server)\S*) (\d+)$/gm)].map(
    ([, name = '', value = '']) => [name, value] as const,
  );
  return Object.fromEntries(
    lines
      .filter(([name, value]) => value !== '0' && !(hasLocalCache && /key2=|_with_local_cache/.test(name)))
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function same(what: string, own: unknown, reference: unknown): void {
  if (isDeepStrictEqual(own, reference)) return;
  if (typeof own === 'object' && own !== null && typeof reference === 'object' && reference !== null) {
    const [a, b] = [own, reference] as [Record<string, unknown>, Record<string, unknown>];
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
      (name) => !isDeepStrictEqual(a[name], b[name]),
    );
    throw new Error(
      [
        `${what} differs: sluice, reference`,
        ...names.map((name) => `  ${name}: ${JSON.stringify(a[name])}, ${JSON.stringify(b[name])}`),
      ].join('\n'),
    );
  }
  throw new Error(`${what} differs\n  sluice:    ${JSON.stringify(own)}\n  reference: ${JSON.stringify(reference)}`);
}

const program = await referenceProgram();
if (program === undefined) throw new Error('envoyproxy/ratelimit is built with Go, which is not in the PATH');
const folder = await mkdtemp(join(tmpdir(), 'sluice-reference-'));
await mkdir(join(folder, 'ratelimit/config'), { recursive: true });
await writeFile(join(folder, 'ratelimit/config/config.shop.yaml'), CONFIG);
const [one, other] = [await startRedis(), await startRedis()];
const stop: (() => Promise<unknown>)[] = [() => one.stop(), () => other.stop()];
try {
  for (const [what, settings] of Object.entries<NodeJS.ProcessEnv>({
    plain: {},
    'a local cache': { LOCAL_CACHE_SIZE_IN_BYTES: '100000' },
    'keys are not counted when over': { STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT: 'true' },
    'headers, a prefix, shadow mode': {
      LIMIT_RESPONSE_HEADERS_ENABLED: 'true',
      CACHE_KEY_PREFIX: 'p:',
      SHADOW_MODE: 'true',
      NEAR_LIMIT_RATIO: '0.5',
    },
  })) {
    const redis = [new Redis(one.url), new Redis(other.url)] as const;
    await Promise.all(redis.map(async (connection) => connection.flushall()));
    const env = {
      RUNTIME_ROOT: folder,
      RUNTIME_SUBDIRECTORY: 'ratelimit',
      RUNTIME_WATCH_ROOT: 'false',
      REDIS_SOCKET_TYPE: 'tcp',
      LOG_LEVEL: 'error',
      SLUICE_REDIS_DEADLINE: '2s',
      ...settings,
    };
    const hasLocalCache = settings['LOCAL_CACHE_SIZE_IN_BYTES'] !== undefined;
    const [own, reference] = [
      await startSluiceRatelimit({ ...env, REDIS_URL: `127.0.0.1:${one.port}` }),
      await startReference(program, { ...env, REDIS_URL: `127.0.0.1:${other.port}` }),
    ];
    const clients = [own, reference].map(({ grpcPort }) => dialGrpc(`127.0.0.1:${grpcPort}`)) as [
      ReturnType<typeof dialGrpc>,
      ReturnType<typeof dialGrpc>,
    ];
    try {
      for (let seed = 0; seed < RUNS; seed++) {
        const request = randomRequest(new Random(seed));
        same(
          `${what}: answer ${seed} to ${toJsonText(request)}`,
          await answerOf(clients[0], request),
          await answerOf(clients[1], request),
        );
      }
      same(`${what}: keys and counts`, await countsOf(redis[0]), await countsOf(redis[1]));
      await new Promise((resolve) => {
        setTimeout(resolve, 2500);
      }); // the reference tells its page each second
      same(`${what}: metrics`, await metricsOf(own, hasLocalCache), await metricsOf(reference, hasLocalCache));
      console.log(
        `ok  ${what}: ${RUNS} answers, ${Object.keys(await countsOf(redis[0])).length} counters and ${Object.keys(await metricsOf(own, hasLocalCache)).length} metrics are the same`,
      );
    } finally {
      for (const client of clients) client.close();
      for (const connection of redis) connection.disconnect();
      await Promise.all([own.stop(), reference.stop()]);
    }
  }
  // One fleet while it is moved: both on one Redis.
  const shared = {
    RUNTIME_ROOT: folder,
    RUNTIME_SUBDIRECTORY: 'ratelimit',
    RUNTIME_WATCH_ROOT: 'false',
    REDIS_SOCKET_TYPE: 'tcp',
    LOG_LEVEL: 'error',
    REDIS_URL: `127.0.0.1:${one.port}`,
    SLUICE_REDIS_DEADLINE: '2s',
  };
  const [own, reference] = [await startSluiceRatelimit(shared), await startReference(program, shared)];
  const clients = [own, reference].map(({ grpcPort }) => dialGrpc(`127.0.0.1:${grpcPort}`));
  try {
    const remaining: unknown[] = [];
    for (let turn = 0; turn < 22; turn++) {
      const answer = (await answerOf(clients[turn % 2] as (typeof clients)[0], {
        domain: 'shop',
        descriptors: [{ entries: [{ key: 'user', value: 'eve' }] }],
      })) as { statuses: { limitRemaining?: number }[] };
      remaining.push(answer.statuses[0]?.limitRemaining ?? 0);
    }
    same(
      'taking turns on one Redis',
      remaining,
      Array.from({ length: 22 }, (_, turn) => Math.max(0, 19 - turn)),
    );
    console.log('ok  taking turns on one Redis: each sees what the other has counted');
  } finally {
    for (const client of clients) client.close();
    await Promise.all([own.stop(), reference.stop()]);
  }
} finally {
  for (const end of stop) await end();
  await rm(folder, { recursive: true });
}

function toJsonText(request: Request): string {
  return JSON.stringify(toJson(RateLimitRequestSchema, create(RateLimitRequestSchema, request)));
}
