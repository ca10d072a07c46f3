/**
 * What counts the limits of `sluice ratelimit` that are no windows: the quota adapters that rules have.
 * **In**: settings. **Out**: stores, open. **Fails**: with an AdapterError, or what is wrong with the config that settings make; nothing stays
 * open then.
 */
import { loadBuiltIn } from '../../adapters/built-in.ts';
import type { AnyHandler, Call, QuotaAnswer, QuotaAsk } from '../../adapters/contract.ts';
import { type HandlerEnvironment, openHandler } from '../../adapters/open-handler.ts';
import { createPluginMetrics } from '../../adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import type { AlgorithmAnswer, AlgorithmStore, OpenAlgorithms } from '../../ratelimit/charge/algorithm-store.ts';
import { type AlgorithmAsk, nameOf } from '../../ratelimit/walk/asks.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import type { OwnLog } from '../../log/log.ts';
import { redisConfig } from './redis-config.ts';

type Among = Pick<HandlerEnvironment, 'shared' | 'worker'>;

/** While Redis is away. */
const LOCAL_KEYS = 100_000;
/** More than the adapter takes. */
const MOST_KEYS = 10_000_000;

/** `among`: where it is one of several workers, which count together. */
export async function openAlgorithms(
  settings: Settings,
  log: OwnLog,
  among: Among = { shared: createSharedMemory() },
): Promise<OpenAlgorithms> {
  await using stack = new AsyncDisposableStack();
  const open = async (
    adapter: 'quota-memory' | 'quota-redis',
    name: string,
    config: unknown,
  ): Promise<AlgorithmStore> => {
    const { store, close } = await openStore(adapter, name, config, {
      ...among,
      log,
      metrics: createPluginMetrics(log),
    });
    stack.defer(close);
    return store;
  };
  const isMemory = settings.BACKEND_TYPE === 'memory';
  const others = isMemory
    ? await open('quota-memory', 'limits', { maxKeys: Math.min(MOST_KEYS, Math.max(1, settings.SLUICE_MAX_KEYS)) })
    : await open('quota-redis', 'limits', redisConfig(settings, 'REDIS'));
  const perSecond =
    !isMemory && settings.REDIS_PERSECOND
      ? await open('quota-redis', 'limits-per-second', redisConfig(settings, 'REDIS_PERSECOND'))
      : others;
  const local = isMemory ? others : await open('quota-memory', 'limits-while-away', { maxKeys: LOCAL_KEYS });
  const opened = stack.move();
  return { others, perSecond, local, close: () => opened.disposeAsync() };
}

async function openStore(
  adapterName: string,
  name: string,
  config: unknown,
  environment: HandlerEnvironment,
): Promise<{ readonly store: AlgorithmStore; readonly close: () => Promise<void> }> {
  const adapter = await loadBuiltIn(adapterName);
  const parsed = adapter.config.safeParse(config);
  if (!parsed.success)
    throw new Error(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const live = await openHandler(adapter, { name, config: parsed.data, folder: process.cwd() }, environment);
  // Memory that is full answers for the keys that it has; Redis that is not ready answers nobody.
  return {
    store: storeOf(live.handler, () => (adapterName === 'quota-redis' ? live.readiness().why : undefined)),
    close: () => live.close(),
  };
}

/** The guard before it keeps the time. */
const CALL: Call = { signal: new AbortController().signal, remainingMs: Number.MAX_SAFE_INTEGER, id: '' };

/** Asks of the service, in the words of the plugin contract. */
export function storeOf(handler: AnyHandler, notReady: () => string | undefined): AlgorithmStore {
  const quota = handler as Required<Pick<AnyHandler, 'bucket' | 'charge' | 'reset'>>;
  const buckets = new Map<string, unknown>();
  const bucketOf = ({ algorithm, perMs, domain }: AlgorithmAsk): unknown => {
    const name = `${algorithm} ${perMs} ${domain}`;
    if (!buckets.has(name))
      buckets.set(name, quota.bucket({ rule: domain, params: undefined, counter: domain, algorithm, perMs }));
    return buckets.get(name);
  };
  const quotaAsk = (ask: AlgorithmAsk): QuotaAsk => {
    const { key, hits, limit, burst, perMs, holder, isEnd } = ask;
    const counter = {
      bucket: bucketOf(ask),
      key,
      limit,
      burst,
      perMs,
      ...(holder === undefined ? {} : { idempotencyKey: holder }),
    };
    if (isEnd) return { ...counter, kind: 'release' };
    if (hits === 0) return { ...counter, kind: 'look' };
    return { ...counter, kind: hits < 0 ? 'giveBack' : 'spend', cost: Math.abs(hits) };
  };
  return {
    charge(asks) {
      const told = quota.charge(asks.map(quotaAsk), CALL);
      return told instanceof Promise ? told.then((answers) => answers.map(answerOf)) : told.map(answerOf);
    },
    async placeOf(ask) {
      const [place] = (await handler.look?.([quotaAsk(ask)])) ?? [];
      return place?.counter ?? nameOf(ask);
    },
    reset: (asks) => quota.reset(asks.map(quotaAsk)),
    get notReady() {
      return notReady();
    },
  };
}

const answerOf = ({ granted, remaining, resetMs }: QuotaAnswer): AlgorithmAnswer => ({
  isGranted: granted,
  remaining,
  resetMs,
});
