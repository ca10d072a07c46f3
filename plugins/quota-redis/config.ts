/** What an operator writes about counters in Redis. */
import { z } from 'zod';
import { checkRedis, redisShape } from '../redis-client/config.ts';

export const configSchema = z.strictObject({
  ...redisShape,
  prefix: z.string().max(64).default('sluice:').describe('What every key begins with. Replicas that share their counts have the same.'),
  clock: z.enum(['redis', 'local']).default('redis').describe('Whose time counts. redis: one for all replicas. local: each replica\'s own.'),
}).check(checkRedis);
