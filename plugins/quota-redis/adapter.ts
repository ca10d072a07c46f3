/** Counts in Redis: exact over all replicas that share it. */
import { z } from 'zod';
import { checkRedis, openRedisStore, redisShape } from 'sluice/counting';
import { defineAdapter } from 'sluice/plugin';

export default defineAdapter({
  name: 'quota-redis',
  summary:
    'Counts in Redis: exact over all replicas that share it; one atomic script for all asks of a call (on a cluster: of a key).',
  config: z
    .strictObject({
      ...redisShape,
      prefix: z
        .string()
        .max(256)
        .default('sluice:')
        .describe('Prefix of every key. Replicas that share counts need the same prefix.'),
      clock: z
        .enum(['redis', 'local'])
        .default('redis')
        .describe("The clock. redis: one for all replicas. local: each replica's own."),
      escrow: z
        .boolean()
        .default(false)
        .describe(
          'Lease units from Redis in chunks and spend them here, so that most asks need no round trip. A window admits no more than its ' +
            'limit; gcra and sliding admit in any time t at most what they allow in t plus one second. Leased units, at most a quarter ' +
            'of the remaining ones, are unavailable to other replicas until they are returned, after 200 ms without use.',
        ),
    })
    .check(checkRedis),
  serves: { quota: { algorithms: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] } },
  open: async (config, host) => openRedisStore(config, host),
});
