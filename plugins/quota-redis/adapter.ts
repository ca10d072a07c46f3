/** Counts in Redis: exact over all replicas that share it. */
import { z } from 'zod';
import { checkRedis, openRedisStore, redisShape } from 'sluice/counting';
import { defineAdapter } from 'sluice/plugin';

export default defineAdapter({
  name: 'quota-redis',
  summary:
    'Counts in Redis: exact over all replicas that share it, one step of Redis for all asks of a call (on a cluster: of a key).',
  config: z
    .strictObject({
      ...redisShape,
      prefix: z
        .string()
        .max(256)
        .default('sluice:')
        .describe('What every key begins with. Replicas that share their counts have the same.'),
      clock: z
        .enum(['redis', 'local'])
        .default('redis')
        .describe("Whose time counts. redis: one for all replicas. local: each replica's own."),
      escrow: z
        .boolean()
        .default(false)
        .describe(
          'Units are taken from Redis in chunks and spent here, so that most asks are answered at once. A window admits no more than its limit; gcra and sliding admit in any time t what they admit in t and a second. What is held here, at most a quarter of what is left, others cannot spend until it is given back, after a fifth of a second without use.',
        ),
    })
    .check(checkRedis),
  serves: { quota: { algorithms: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] } },
  open: async (config, host) => openRedisStore(config, host),
});
