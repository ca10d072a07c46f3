/** Counts in Redis: exact over all replicas that share it. */
import { type Algorithm, defineAdapter, quota, type QuotaAsk } from 'sluice/plugin';
import { connectionOptions } from '../redis-client/config.ts';
import { chargeBySlot, slotTag } from './by-slot.ts';
import { configSchema } from './config.ts';
import { counterKey, onceKey } from './counter-key.ts';
import { answersOf, argumentsOf, SCRIPT, SCRIPT_SHA1, type Told } from './script.ts';

interface Bucket {
  readonly counter: string;
  readonly algorithm: Algorithm;
}

export default defineAdapter({
  name: 'quota-redis',
  summary: 'Counts in Redis: exact over all replicas that share it, one step of Redis for all asks of a call (on a cluster: of a key).',
  config: configSchema,
  serves: { quota: { algorithms: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] } },
  async open(config, host) {
    const [options, { openConnection, runScript }] = await Promise.all([connectionOptions(config, host.folder), import('../redis-client/connection.ts')]);
    const connection = openConnection({
      redis: options,
      timeoutMs: config.timeoutMs,
      onReady: (isReady, why) => host.ready(isReady, why),
    });
    // So that the first call after a reload finds it connected; where Redis is away, it goes on at once.
    await connection.firstTry(AbortSignal.any([host.signal, AbortSignal.timeout(config.connectTimeoutMs)]));
    const prefixOf = (key: string): string => (config.cluster === undefined ? config.prefix : `${config.prefix}${slotTag(key)}`);
    async function run(asks: readonly QuotaAsk<Bucket>[]): Promise<readonly Told[]> {
      const keys = asks.map(({ bucket, key, perMs }) => counterKey(prefixOf(key), bucket, perMs, key));
      for (const { bucket, key, perMs, once } of asks) if (once !== undefined) keys.push(onceKey(prefixOf(key), bucket, perMs, key, once));
      const nowMs = config.clock === 'local' ? host.clock.nowMs() : undefined;
      return answersOf(asks, await connection.ask((redis) => runScript(redis, SCRIPT, SCRIPT_SHA1, keys, argumentsOf(asks, nowMs))) as number[]);
    }

    return {
      ...quota<Bucket>({
        bucket: ({ counter, algorithm }) => ({ counter, algorithm }),
        charge: (asks) => (config.cluster === undefined ? run(asks) : chargeBySlot(asks, run)),
        look: (asks) => asks.map(({ bucket, key, perMs }) => ({ counter: counterKey(prefixOf(key), bucket, perMs, key) })),
        async reset(asks) {
          await Promise.all(asks.map(({ bucket, key, perMs }) => connection.ask((redis) => redis.del(counterKey(prefixOf(key), bucket, perMs, key)))));
        },
      }),
      close: () => connection.close(),
    };
  },
});
