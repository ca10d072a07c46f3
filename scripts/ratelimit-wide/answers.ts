/** Both servers on the same files, settings and requests, a Redis each: answers, counts, metrics and pages have to be the same. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { create, fromBinary, toBinary, toJson } from '@bufbuild/protobuf';
import { Redis } from 'ioredis';
import { RateLimitRequestSchema, RateLimitResponseSchema } from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { dialGrpc, GrpcError } from '../../src/transport/index.ts';
import { type RateLimitPart, startReference, startSluiceRatelimit } from '../../test/parts/ratelimits.ts';
import { startRedis } from '../../test/parts/redis.ts';
import { Random } from './random.ts';
import { makeRequest, makeWorld, type Request } from './worlds.ts';

const PATH = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
type Client = ReturnType<typeof dialGrpc>;

/** Two servers look at the clock one after the other: seconds until a window ends may be one less. */
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

/** By name and labels; the reference adds what its local cache refused to over_limit once more (its pattern has no end). */
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

async function pageOf(port: number, path: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return `${answer.status} ${answer.headers.get('content-type') ?? ''}\n${(await answer.text()).split('\n').toSorted().join('\n')}`;
}

function differenceOf(own: unknown, reference: unknown): string | undefined {
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

/** Free ports are found before they are taken: somebody else may be quicker. */
async function started(start: () => Promise<RateLimitPart>): Promise<RateLimitPart> {
  for (let tries = 1; ; tries++) {
    try {
      return await start();
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
}

export async function compareAnswers(
  program: string,
  firstSeed: number,
  worlds: number,
  requests: number,
  most: number,
): Promise<number> {
  const [one, other] = [await startRedis(), await startRedis()];
  let differences = 0;
  let answers = 0;
  const say = (what: string, difference: string | undefined): void => {
    if (difference !== undefined && ++differences <= most) console.log(`${what}${difference}`);
  };
  try {
    for (let seed = firstSeed; seed < firstSeed + worlds; seed++) {
      const random = new Random(seed);
      const { files, settings } = makeWorld(random);
      const before = differences;
      const folder = await mkdtemp(join(tmpdir(), 'sluice-wide-'));
      await mkdir(join(folder, 'ratelimit/config'), { recursive: true });
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, 'ratelimit/config', name), text);
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
      const own = await started(() => startSluiceRatelimit({ ...env, REDIS_URL: `127.0.0.1:${one.port}` }));
      const reference = await started(() => startReference(program, { ...env, REDIS_URL: `127.0.0.1:${other.port}` }));
      const clients = [own, reference].map(({ grpcPort }) => dialGrpc(`127.0.0.1:${grpcPort}`)) as [Client, Client];
      try {
        for (let at = 0; at < requests; at++) {
          const request = makeRequest(random);
          const [ours, theirs] = await Promise.all(clients.map(async (client) => answerOf(client, request)));
          answers++;
          say(
            `world ${seed}, answer ${at} to ${JSON.stringify(toJson(RateLimitRequestSchema, create(RateLimitRequestSchema, request)))}`,
            differenceOf(ours, theirs),
          );
        }
        say(`world ${seed}: counts`, differenceOf(await countsOf(redis[0]), await countsOf(redis[1])));
        for (const [port, path] of [
          ['httpPort', '/healthcheck'],
          ['httpPort', '/nothing'],
          ['debugPort', '/rlconfig'],
        ] as const)
          say(
            `world ${seed}: ${path}`,
            differenceOf(await pageOf(own[port], path), await pageOf(reference[port], path)),
          );
        await new Promise((resolve) => {
          setTimeout(resolve, 2500);
        }); // the reference tells its page each second
        const hasLocalCache = settings['LOCAL_CACHE_SIZE_IN_BYTES'] !== undefined;
        say(
          `world ${seed}: metrics`,
          differenceOf(await metricsOf(own, hasLocalCache), await metricsOf(reference, hasLocalCache)),
        );
      } finally {
        for (const client of clients) client.close();
        for (const connection of redis) connection.disconnect();
        await Promise.all([own.stop(), reference.stop()]);
        await rm(folder, { recursive: true });
      }
      if (differences > before) console.log(`world ${seed}: ${JSON.stringify(settings)} ${JSON.stringify(files)}`);
    }
  } finally {
    await Promise.all([one.stop(), other.stop()]);
  }
  console.log(`worlds ${firstSeed} to ${firstSeed + worlds - 1}: ${answers} answers; ${differences} differ`);
  return differences;
}
