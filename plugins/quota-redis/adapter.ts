/** Counts in Redis: exact over all replicas that share it. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineAdapter, quota, type QuotaAsk } from 'sluice/plugin';
import { connectionOptions } from '../redis-client/config.ts';
import type { Bucket } from './bucket.ts';
import { chargeBySlot, slotTag } from './by-slot.ts';
import { configSchema } from './config.ts';
import { counterKey, holdersKey } from './counter-key.ts';
import { Escrow } from './escrow.ts';
import { answersOf, argumentsOf, keysOf, SCRIPT, SCRIPT_SHA1, type Told } from './script.ts';

const LOOK_EVERY_MS = 50;
const MAX_LEASES = 100_000;
/** Who holds what is told anew within this time, or nobody holds it. */
const TOLD_FOR_MS = 5000;

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
      const nowMs = config.clock === 'local' ? host.clock.nowMs() : undefined;
      return answersOf(asks, await connection.ask((redis) => runScript(redis, SCRIPT, SCRIPT_SHA1, keysOf(asks, prefixOf), argumentsOf(asks, nowMs))) as number[]);
    }

    const keyOf = ({ bucket, key, perMs }: QuotaAsk<Bucket>): string => counterKey(prefixOf(key), bucket, perMs, key);
    const holdersKeyOf = ({ bucket, key, perMs }: QuotaAsk<Bucket>): string => holdersKey(prefixOf(key), bucket, perMs, key);
    const charge = (asks: readonly QuotaAsk<Bucket>[]): Promise<readonly Told[]> => (config.cluster === undefined ? run(asks) : chargeBySlot(asks, run));
    const who = `${hostname()}-${randomUUID().slice(0, 8)}`;
    const count = (what: string, help: string): ((units: number) => void) => {
      const counter = host.metrics.counter(`quota_redis_escrow_${what}`, help);
      return (units) => counter.add(units);
    };
    const escrow = !config.escrow ? undefined : new Escrow({
      maxLeases: MAX_LEASES, nowMs: () => host.clock.monotonicMs(),
      count: { taken: count('taken', 'Units taken from Redis to be spent here.'), returned: count('returned', 'Units given back unspent.'), stranded: count('stranded', 'Units that nobody could spend before their time was over.') },
      store: {
        charge,
        tell(ask, units) {
          const key = holdersKeyOf(ask);
          connection.ask(async (redis) => (units === 0 ? redis.hdel(key, who) : Promise.all([redis.hset(key, who, units), redis.pexpire(key, TOLD_FOR_MS)]))).catch(() => undefined); // for operators alone
        },
      },
    });

    if (escrow !== undefined) {
      host.background('giving back what is idle', async (signal) => {
        while (!signal.aborted) {
          await sleep(LOOK_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
          escrow.giveBackIdle();
        }
      });
    }

    return {
      ...quota<Bucket>({
        bucket: ({ counter, algorithm, perMs }) => ({ counter, algorithm, perMs, leases: new Map() }),
        charge: escrow === undefined ? charge : (asks) => escrow.charge(asks),
        look: (asks) => Promise.all(asks.map(async (ask) => {
          const counter = keyOf(ask);
          if (escrow === undefined) return { counter };
          const told = await connection.ask((redis) => redis.hgetall(holdersKeyOf(ask)));
          const holders = [...Object.entries(told).filter(([one]) => one !== who).map(([one, units]) => ({ who: one, units: Number(units) })), { who, units: escrow.heldOf(ask) }];
          return { counter, holders: holders.filter(({ units }) => units > 0) };
        })),
        async reset(asks) {
          for (const ask of asks) escrow?.forget(ask);
          await Promise.all(asks.map((ask) => connection.ask((redis) => redis.del(keyOf(ask)))));
        },
      }),
      async close() {
        await escrow?.close();
        connection.close();
      },
    };
  },
});
