/** Reports as entries of Redis streams. */
import { hostname } from 'node:os';
import { z } from 'zod';
import { checkRedis, openRedis, redisShape } from 'sluice/counting';
import { defineAdapter, report } from 'sluice/plugin';
import { StreamWriter } from './stream-writer.ts';

const config = z
  .strictObject({
    ...redisShape,
    timeoutMs: redisShape.timeoutMs
      .unwrap()
      .default(2000)
      .describe(redisShape.timeoutMs.description ?? ''),
    stream: z.string().min(1).max(512).default('sluice:reports').describe('The key of the stream.'),
    shards: z
      .int()
      .min(1)
      .max(1024)
      .default(1)
      .describe(
        'Number of streams, for a cluster, where one stream is on one node: with 4 they are {STREAM:0} to {STREAM:3}. Order holds within each.',
      ),
    shardBy: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The field whose value chooses the stream; equal values keep their order. Default: the id of the report.',
      ),
    maxLength: z
      .int()
      .min(1)
      .optional()
      .describe(
        'Approximate number of entries to keep in each stream (MAXLEN ~); older ones are trimmed, whether read or not.',
      ),
    maxAgeMs: z
      .int()
      .min(1000)
      .optional()
      .describe('Approximate age of entries to keep (MINID ~), by the clock of Sluice. Not with maxLength.'),
    format: z
      .enum(['fields', 'json'])
      .default('fields')
      .describe(
        'fields: a field of the entry for each field of the rule; json: all of them as JSON in the field json.',
      ),
    idempotent: z
      .boolean()
      .default(true)
      .describe(
        'Lets Redis 8.6 and newer drop an entry that a retry repeats (XADD IDMP). ' +
          'Older servers are recognised; there a lost reply repeats entries, with equal ids.',
      ),
    producer: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('The name of this producer for idempotent; stable over restarts. Default: the host name.'),
  })
  .check(checkRedis)
  .refine(({ maxLength, maxAgeMs }) => maxLength === undefined || maxAgeMs === undefined, {
    path: ['maxAgeMs'],
    message: 'a stream is trimmed by maxLength or by maxAgeMs, not both',
  });

export default defineAdapter({
  name: 'log-redis',
  summary: 'Appends each report to a stream in Redis, or to one of several.',
  config,
  serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 512 * 1024 } } },
  async open({ producer, ...options }, host) {
    const connection = await openRedis(options, host);
    const writer = new StreamWriter(connection, {
      ...options,
      producer: `${producer ?? hostname()}-${host.worker.number}`,
      nowMs: () => host.clock.nowMs(),
      host,
    });
    return {
      ...report<string>({ sink: ({ rule }) => rule, write: async (entries) => writer.write(entries) }),
      close: () => connection.close(),
    };
  },
});
