/**
 * What answers calls, apart from where limits come from and who looks: stores, service and the door for gRPC.
 * **In**: settings, doors. **Out**: an {@link RatelimitEngine}: of this thread, or (the command's) of several workers that look like one.
 * **Fails**: with a SettingError before anything listens, and with nothing left open.
 */
import type { OpenAlgorithms } from '../charge/algorithm-store.ts';
import { Algorithms } from '../charge/algorithms.ts';
import type { JsonAnswer, RateLimitService, RequestHeaders } from '../call.ts';
import type { ConfigFile } from '../config/read.ts';
import type { Domains } from '../config/tree.ts';
import { type LimitInspector, limitInspector, type ThreadLimitInspector } from '../inspect/inspector.ts';
import { LocalCache } from '../charge/local-cache.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { type AroundRedis, openStores, type OutageTarget } from '../charge/open-stores.ts';
import { rateLimitService } from './service.ts';
import { serviceSettings } from './service-settings.ts';
import type { Settings } from '../settings/settings.ts';
import { type SharedCounts, SharedStore } from '../charge/shared-store.ts';

/** What is no rate limit's own business: the command gives it. */
export interface EngineHost {
  /** What counts limits that are no windows; asked for when the first is read. */
  openAlgorithms(): Promise<OpenAlgorithms>;
  listenGrpc(
    service: RateLimitService,
    metrics: RatelimitMetrics,
    isHealthy: () => boolean,
  ): Promise<{ readonly port: number; drain(): Promise<void> }>;
  answerJson(service: RateLimitService, body: string, headers: RequestHeaders): Promise<JsonAnswer>;
}

export interface RatelimitEngine {
  /** Puts limits in force: afterwards every call is answered by them. Rejects where what counts them cannot be opened; then nothing changes. */
  use(files: readonly ConfigFile[], domains: Domains): void | Promise<void>;
  /** The port that gRPC is at from now on. */
  listen(): Promise<number>;
  /** Why it does not listen or its stores cannot be asked, for people; `undefined` while it is healthy. */
  unhealthyWhy(): string | undefined | Promise<string | undefined>;
  answerJson(body: string, headers: RequestHeaders): Promise<JsonAnswer>;
  readonly limits: LimitInspector;
  /** Afterwards the metrics hold all that has been counted. */
  flushMetrics(): void | Promise<void>;
  /** Unhealthy from now on; calls in flight end. */
  drain(): Promise<void>;
  /** Gives back what it holds of others' counters. */
  close(): Promise<void>;
}

/** Limits that are ready to be put in force. */
export interface PreparedLimits {
  commit(): void;
  abandon(): void;
}

/** Of one thread. */
export interface ThreadEngine extends RatelimitEngine {
  /** Opens what counts these limits. Rejects where it cannot be opened; what is in force stays then. */
  prepare(domains: Domains): Promise<PreparedLimits>;
  /** As unhealthyWhy, whether or not it listens. */
  notAnsweringWhy(): string | undefined;
  readonly limits: ThreadLimitInspector;
}

export interface EngineOptions extends EngineHost {
  readonly settings: Settings;
  readonly metrics: RatelimitMetrics;
  /** Told when Redis stops answering. */
  readonly log?: OutageTarget | undefined;
  readonly aroundRedis?: AroundRedis | undefined;
  readonly nowMs?: () => number;
  /** It is one of several, which count in the same memory. */
  readonly shared?: SharedCounts;
}

export async function openEngine(options: EngineOptions): Promise<ThreadEngine> {
  const { settings, metrics, log, aroundRedis, nowMs = Date.now, shared } = options;
  let domains: Domains | undefined;
  let isDraining = false;
  let grpc: { drain(): Promise<void> } | undefined;

  await using stack = new AsyncDisposableStack();
  const stores = openStores({ settings, nowMs, metrics, log, aroundRedis, shared }, stack);
  const algorithms = new Algorithms(() => options.openAlgorithms(), settings.SLUICE_REDIS_DEADLINE, stores.outageOf);
  stack.defer(() => algorithms.close());
  const localCache =
    settings.LOCAL_CACHE_SIZE_IN_BYTES > 0 ? new LocalCache(settings.LOCAL_CACHE_SIZE_IN_BYTES) : undefined;
  if (localCache !== undefined) {
    metrics.gauges.set('ratelimit.localcache.entryCount', () => localCache.size);
    metrics.gauges.set('ratelimit.localcache.hitCount', () => localCache.hits);
    metrics.gauges.set('ratelimit.localcache.lookupCount', () => localCache.lookups);
    metrics.gauges.set('ratelimit.localcache.missCount', () => localCache.lookups - localCache.hits);
  }
  const { storeOf } = stores;
  const answers = serviceSettings(settings);
  const local =
    shared === undefined ? undefined : new SharedStore({ memory: shared.local, worker: shared.worker, nowMs });
  const service = rateLimitService({
    domains: () => domains,
    metrics,
    nowMs,
    settings: answers,
    localCache,
    storeOf,
    algorithms,
    ...(local === undefined ? {} : { local }),
  });
  const limits = limitInspector({
    domains: () => domains,
    nowMs,
    algorithms,
    keyPrefix: settings.CACHE_KEY_PREFIX,
    keyStyle: answers.keyStyle,
    withoutDots: answers.withoutDots,
    storeOf,
    holdersOf: stores.holdersOf,
    heldOf: (key) => stores.escrows.reduce((sum, escrow) => sum + escrow.heldOf(key), 0),
    forget(key) {
      localCache?.forget(key);
      for (const escrow of stores.escrows) escrow.forget(key);
    },
  });
  const notAnsweringWhy = (): string | undefined => {
    if (isDraining) return 'it is stopping';
    const why = stores.unhealthyWhy() ?? algorithms.unhealthyWhy;
    if (why !== undefined) return why;
    return (domains === undefined || domains.size === 0) && settings.HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED
      ? 'no limits have been loaded'
      : undefined;
  };

  async function prepare(next: Domains): Promise<PreparedLimits> {
    const opened = algorithms.opened(next);
    if (opened !== undefined) {
      await opened;
      metrics.gauges.set('ratelimit.algorithms.breaker_open', () => (algorithms.isSpared ? 1 : 0));
    }
    return {
      commit() {
        domains = next;
      },
      abandon() {},
    };
  }

  const open = stack.move();
  return {
    prepare,
    use: async (_files, next) => (await prepare(next)).commit(),
    async listen() {
      const listening = await options.listenGrpc(service, metrics, () => notAnsweringWhy() === undefined);
      grpc = listening;
      return listening.port;
    },
    unhealthyWhy: () => (grpc === undefined ? 'it does not listen yet' : notAnsweringWhy()),
    notAnsweringWhy,
    limits,
    answerJson: (body, headers) => options.answerJson(service, body, headers),
    flushMetrics() {},
    async drain() {
      isDraining = true;
      await grpc?.drain();
    },
    close: () => open.disposeAsync(),
  };
}
