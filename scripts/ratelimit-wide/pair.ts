/** `sluice ratelimit` and envoyproxy/ratelimit side by side, a Redis each, on the same files and settings; and what is compared of them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { create, fromBinary, type MessageInitShape, toBinary, toJson } from '@bufbuild/protobuf';
import { Redis } from 'ioredis';
import { RateLimitRequestSchema, RateLimitResponseSchema } from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { dialGrpc, GrpcError } from '../../src/transport/index.ts';
import { type RateLimitPart, startReference, startSluiceRatelimit } from '../../test/parts/ratelimits.ts';
import type { startRedis } from '../../test/parts/redis.ts';

export type Request = MessageInitShape<typeof RateLimitRequestSchema>;
type Client = ReturnType<typeof dialGrpc>;
type RedisPart = Awaited<ReturnType<typeof startRedis>>;
export type Both<T> = readonly [own: T, reference: T];

export interface PairOptions {
  /** The reference's program. */
  readonly program: string;
  readonly redis: Both<RedisPart>;
  readonly files: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, string>>;
}

export interface Pair {
  readonly parts: Both<RateLimitPart>;
  answerOf(at: 0 | 1, request: Request): Promise<unknown>;
  answers(request: Request): Promise<Both<unknown>>;
  counts(): Promise<Both<Record<string, string | null>>>;
  metrics(): Promise<Both<Record<string, string>>>;
  close(): Promise<void>;
}

/** Both Redis are emptied first. */
export async function startPair({ program, redis, files, settings }: PairOptions): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-pair-'));
  stack.defer(async () => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'ratelimit/config'), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, 'ratelimit/config', name), text);
  const stores = redis.map(({ url }) => stack.adopt(new Redis(url), (one) => one.disconnect())) as [Redis, Redis];
  await Promise.all(stores.map(async (one) => one.flushall()));
  const env = {
    RUNTIME_ROOT: folder,
    RUNTIME_SUBDIRECTORY: 'ratelimit',
    RUNTIME_WATCH_ROOT: 'false',
    REDIS_SOCKET_TYPE: 'tcp',
    LOG_LEVEL: 'error',
    SLUICE_REDIS_DEADLINE: '2s',
    ...settings,
  };
  const start = async (
    run: (env: Record<string, string>) => Promise<RateLimitPart>,
    at: 0 | 1,
  ): Promise<RateLimitPart> =>
    stack.adopt(await retried(async () => run({ ...env, REDIS_URL: `127.0.0.1:${redis[at].port}` })), async (part) =>
      part.stop(),
    );
  const parts = [
    await start(startSluiceRatelimit, 0),
    await start(async (all) => startReference(program, all), 1),
  ] as const;
  const clients = parts.map(({ grpcPort }) =>
    stack.adopt(dialGrpc(`127.0.0.1:${grpcPort}`), (client) => client.close()),
  ) as [Client, Client];
  const hasLocalCache = settings['LOCAL_CACHE_SIZE_IN_BYTES'] !== undefined;
  const open = stack.move();
  return {
    parts,
    answerOf: async (at, request) => answerOf(clients[at], request),
    answers: async (request) => Promise.all([answerOf(clients[0], request), answerOf(clients[1], request)]),
    counts: async () => Promise.all([countsOf(stores[0]), countsOf(stores[1])]),
    async metrics() {
      await sleep(2500); // the reference updates its page each second
      return Promise.all([metricsOf(parts[0], hasLocalCache), metricsOf(parts[1], hasLocalCache)]);
    },
    close: async () => open.disposeAsync(),
  };
}

/** Free ports are found before they are bound, and another process may bind them first. */
async function retried(start: () => Promise<RateLimitPart>): Promise<RateLimitPart> {
  for (let tries = 1; ; tries++) {
    try {
      return await start();
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
}

const PATH = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';

/** When a window ends, in place of how long that takes: the two servers read the clock one after the other. All windows end on the hour. */
const endOf = (seconds: number): number => Math.round((Date.now() / 1000 + seconds) / 3600) * 3600;

async function answerOf(client: Client, request: Request): Promise<unknown> {
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
      if (/reset/i.test(header.key)) header.value = String(endOf(Number(header.value)));
    return JSON.parse(
      JSON.stringify(toJson(RateLimitResponseSchema, response)).replaceAll('  unit:', ' unit:'),
    ) as unknown; // Go's text form varies its blanks
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
 * By name and labels, without times and each server's own gauges. For limits of two keys the reference's page adds the refusals of its
 * local cache to over_limit a second time (its pattern has no end); that is not copied, so it is not compared.
 */
async function metricsOf({ prometheusPort }: RateLimitPart, hasLocalCache: boolean): Promise<Record<string, string>> {
  const text = await (await fetch(`http://127.0.0.1:${prometheusPort}/metrics`)).text();
  const lines = [
    ...text.matchAll(/^(ratelimit_(?:service_(?!response_time|outage)|server)\S*(?: \S*)*?) ([\d.e+]+)$/gm),
  ].map(
    ([, name = '', value = '']) =>
      [
        name.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split('",').toSorted().join('",')}}`),
        String(Number(value)),
      ] as const,
  );
  return Object.fromEntries(
    lines
      .filter(([name, value]) => value !== '0' && !(hasLocalCache && /key2=|_with_local_cache/.test(name)))
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** For people; `undefined` where both are the same. */
export function differenceOf([own, reference]: Both<unknown>): string | undefined {
  if (isDeepStrictEqual(own, reference)) return undefined;
  if (typeof own === 'object' && typeof reference === 'object' && own !== null && reference !== null) {
    const [a, b] = [own, reference] as [Record<string, unknown>, Record<string, unknown>];
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
      (name) => !isDeepStrictEqual(a[name], b[name]),
    );
    return names
      .map((name) => `\n    ${name}: ${JSON.stringify(a[name])}, the reference: ${JSON.stringify(b[name])}`)
      .join('');
  }
  return `\n    ${String(own)}\n    the reference: ${String(reference)}`;
}

export const requestText = (request: Request): string =>
  JSON.stringify(toJson(RateLimitRequestSchema, create(RateLimitRequestSchema, request)));
