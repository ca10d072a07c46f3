/** Attributes of a key, from Redis; changes there take effect without a reload. */
import { z } from 'zod';
import { checkRedis, openRedis, redisShape } from 'sluice/counting';
import { defineAdapter, Unavailable } from 'sluice/plugin';
import { COLUMN_TYPES, columnsSetting } from '../values/cell.ts';
import { Cache } from './cache.ts';
import { rowOf, weightOf } from './row.ts';

const config = z
  .strictObject({
    ...redisShape,
    prefix: z.string().max(64).default('').describe('Prefix of the keys in Redis: the hash of ann is at PREFIXann.'),
    columns: columnsSetting(
      `The fields of the hash to return, with their types: ${COLUMN_TYPES.join(', ')}. A missing field is absent.`,
    ),
    cacheMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(1000)
      .describe(
        'How long an answer is cached, including a missing key; changes take effect after this time. 0: no cache.',
      ),
    cacheKeys: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .describe('Maximum number of cached answers; the oldest is evicted.'),
    cacheBytes: z
      .int()
      .min(1024)
      .max(4_294_967_296)
      .default(16_777_216)
      .describe('Approximate maximum size of the cache in bytes; the oldest answer is evicted.'),
    staleMs: z
      .int()
      .min(0)
      .max(86_400_000)
      .default(0)
      .describe(
        "How long after cacheMs a stale answer is served while Redis is unavailable. 0: the rule's onError decides at once.",
      ),
  })
  .check(checkRedis);

/** Throws if this is not a reply to HMGET, since the address may belong to another server. */
function cellsOf(reply: unknown, count: number): readonly (string | null)[] {
  const isOne =
    Array.isArray(reply) && reply.length === count && reply.every((cell) => cell === null || typeof cell === 'string');
  if (!isOne) throw new Error(`the reply to HMGET is invalid; expected ${count} fields`);
  return reply as readonly (string | null)[];
}

export default defineAdapter({
  name: 'enrich-redis',
  summary: 'Looks up a key in Redis and returns the fields of its hash.',
  config,
  serves: {
    enrich: {
      input: { key: 'string' },
      output: ({ columns }: z.output<typeof config>) => columns,
    },
  },
  async open(options, host) {
    const { prefix, columns, cacheMs, cacheKeys, cacheBytes, staleMs } = options;
    const connection = await openRedis(options, host);
    const names = Object.keys(columns);
    const cache = new Cache({
      forMs: cacheMs,
      staleMs,
      maxKeys: cacheKeys,
      maxBytes: cacheBytes,
      weigh: weightOf,
      nowMs: () => host.clock.monotonicMs(),
      isAway: (error) => error instanceof Unavailable,
      find: async (key: string) => {
        return connection.ask(
          (redis) => redis.hmget(prefix + key, ...names),
          (cells) => rowOf(prefix + key, cellsOf(cells, names.length), columns),
        );
      },
    });
    return {
      lookup:
        () =>
        ({ key }) =>
          cache.get(key),
      close: () => connection.close(),
    };
  },
});
