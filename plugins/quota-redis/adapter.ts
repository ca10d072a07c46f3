/** Counts in Redis: exact over all replicas that share it. */
import { defineAdapter, quota, type QuotaAsk } from 'sluice/plugin';
import { connectionOptions } from '../redis-client/config.ts';
import type { Bucket } from './bucket.ts';
import { chargeBySlot, slotTag } from './by-slot.ts';
import { configSchema } from './config.ts';
import { counterKey, holdersKey } from './counter-key.ts';
import { openEscrow } from './open-escrow.ts';
import { answersOf, argumentsOf, keysOf, SCRIPT, SCRIPT_SHA1, type Told } from './script.ts';

export default defineAdapter({
  name: 'quota-redis',
  summary:
    'Counts in Redis: exact over all replicas that share it, one step of Redis for all asks of a call (on a cluster: of a key).',
  config: configSchema,
  serves: { quota: { algorithms: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] } },
  async open(config, host) {
    const [options, { openConnection }, { runScript }] = await Promise.all([
      connectionOptions(config, host.folder),
      import('../redis-client/connection.ts'),
      import('../redis-client/run-script.ts'),
    ]);
    const connection = openConnection({
      redis: options,
      timeoutMs: config.timeoutMs,
      onReady: (isReady, why) => host.ready(isReady, why),
    });
    // So that the first call after a reload finds it connected; where Redis is away, it goes on at once.
    await connection.firstTry(AbortSignal.any([host.signal, AbortSignal.timeout(config.connectTimeoutMs)]));
    const prefixOf = (key: string): string =>
      config.cluster === undefined ? config.prefix : `${config.prefix}${slotTag(key)}`;
    async function run(asks: readonly QuotaAsk<Bucket>[]): Promise<readonly Told[]> {
      const nowMs = config.clock === 'local' ? host.clock.nowMs() : undefined;
      return connection.ask(
        (redis) => runScript(redis, SCRIPT, SCRIPT_SHA1, keysOf(asks, prefixOf), argumentsOf(asks, nowMs)),
        (reply) => answersOf(asks, reply),
      );
    }

    const keyOf = ({ bucket, key, perMs }: QuotaAsk<Bucket>): string => counterKey(prefixOf(key), bucket, perMs, key);
    const holdersKeyOf = ({ bucket, key, perMs }: QuotaAsk<Bucket>): string =>
      holdersKey(prefixOf(key), bucket, perMs, key);
    const charge = (asks: readonly QuotaAsk<Bucket>[]): Promise<readonly Told[]> =>
      config.cluster === undefined ? run(asks) : chargeBySlot(asks, run);
    const opened = config.escrow ? openEscrow({ host, connection, charge, holdersKeyOf }) : undefined;

    return {
      ...quota<Bucket>({
        bucket: ({ counter, algorithm, perMs }) => ({ counter, algorithm, perMs, leases: new Map() }),
        charge: opened === undefined ? charge : (asks) => opened.escrow.charge(asks),
        look: (asks) =>
          Promise.all(
            asks.map(async (ask) => ({
              counter: keyOf(ask),
              ...(opened === undefined ? {} : { holders: await opened.holdersOf(ask) }),
            })),
          ),
        async reset(asks) {
          for (const ask of asks) opened?.escrow.forget(ask);
          await Promise.all(asks.map((ask) => connection.ask((redis) => redis.del(keyOf(ask)))));
        },
      }),
      async close() {
        await opened?.escrow.close();
        connection.close();
      },
    };
  },
});
