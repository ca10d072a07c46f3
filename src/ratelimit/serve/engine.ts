/**
 * The engine of the rate-limit server: stores and service, without its listener, the source of limits or the admin pages.
 * **In**: settings. **Out**: a {@link ThreadEngine}; the command adds the listener, so that this folder does not know gRPC.
 * **Fails**: with a SettingError before anything listens; nothing stays open.
 */
import type { JsonAnswer, RateLimitService, RequestHeaders } from '../call.ts';
import type { ConfigFile } from '../config/read.ts';
import { ALGORITHMS, type Domains, type Node } from '../config/tree.ts';
import { type LimitInspector, limitInspector, type ThreadLimitInspector } from '../inspect/inspector.ts';
import { LocalCache } from '../charge/local-cache.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { type AroundRedis, openStores, type OutageTarget, type SharedCounts } from '../charge/open-stores.ts';
import { rateLimitService } from './service.ts';
import { serviceSettings } from './service-settings.ts';
import type { Settings } from '../settings/settings.ts';

/** That of this thread with a listener, or workers behind a supervisor. */
export interface RatelimitEngine {
  /** Puts limits in force for all later calls. */
  use(files: readonly ConfigFile[], domains: Domains): void | Promise<void>;
  /** Starts the gRPC listener; returns its port. */
  listen(): Promise<number>;
  /** For operators; `undefined` while it listens and its stores are available. */
  unhealthyWhy(): string | undefined | Promise<string | undefined>;
  answerJson(body: string, headers: RequestHeaders): Promise<JsonAnswer>;
  readonly limits: LimitInspector;
  /** Afterwards the metrics include all counts so far, including those of workers. */
  flushMetrics(): void | Promise<void>;
  /** Reports unhealthy from now on; resolves when calls in flight have ended. */
  drain(): Promise<void>;
  /** Returns leased units and closes the stores. */
  close(): Promise<void>;
}

/** The engine of one thread. */
export interface ThreadEngine extends Pick<RatelimitEngine, 'answerJson' | 'close'> {
  readonly service: RateLimitService;
  use(files: readonly ConfigFile[], domains: Domains): void;
  /** As `unhealthyWhy`, but independent of the listener. */
  readonly notAnsweringWhy: () => string | undefined;
  readonly limits: ThreadLimitInspector;
  flushMetrics(): void;
  /** Reports unhealthy from now on. */
  stop(): void;
}

export interface EngineOptions {
  readonly answerJson: (service: RateLimitService, body: string, headers: RequestHeaders) => Promise<JsonAnswer>;
  readonly settings: Settings;
  readonly metrics: RatelimitMetrics;
  /** Logs outages of Redis. */
  readonly log?: OutageTarget | undefined;
  readonly aroundRedis?: AroundRedis | undefined;
  readonly nowMs?: () => number;
  /** Memory shared with other workers. */
  readonly shared?: SharedCounts | undefined;
}

export async function openEngine(options: EngineOptions): Promise<ThreadEngine> {
  const { settings, metrics, log, aroundRedis, nowMs = Date.now, shared } = options;
  let domains: Domains | undefined;
  let isDraining = false;

  await using stack = new AsyncDisposableStack();
  const stores = openStores({ settings, nowMs, metrics, log, aroundRedis, shared }, stack);
  const localCache = localCacheOf(settings, metrics);
  const { poolOf, local, replica } = stores;
  const common = { domains: () => domains, nowMs, settings: serviceSettings(settings), poolOf };
  const service = rateLimitService({ ...common, metrics, localCache, local });
  const limits = limitInspector({ ...common, replica, forget: ({ key }) => localCache?.forget(key) });
  const notAnsweringWhy = (): string | undefined => {
    if (isDraining) return 'the server is stopping';
    const why = stores.unhealthyWhy();
    if (why !== undefined) return why;
    return (domains === undefined || domains.size === 0) && settings.HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED
      ? 'no limits have been loaded'
      : undefined;
  };

  const open = stack.move();
  return {
    service,
    use(_files, next) {
      domains = next;
      if ([...next.values()].some(hasAlgorithm))
        metrics.gauges.set('ratelimit.algorithms.breaker_open', () => (stores.isSpared() ? 1 : 0));
    },
    notAnsweringWhy,
    limits,
    answerJson: (body, headers) => options.answerJson(service, body, headers),
    flushMetrics() {},
    stop() {
      isDraining = true;
    },
    close: () => open.disposeAsync(),
  };
}

function localCacheOf({ LOCAL_CACHE_SIZE_IN_BYTES }: Settings, { gauges }: RatelimitMetrics): LocalCache | undefined {
  if (LOCAL_CACHE_SIZE_IN_BYTES === 0) return undefined;
  const cache: LocalCache = new LocalCache(LOCAL_CACHE_SIZE_IN_BYTES);
  gauges.set('ratelimit.localcache.entryCount', () => cache.size);
  gauges.set('ratelimit.localcache.hitCount', () => cache.hits);
  gauges.set('ratelimit.localcache.lookupCount', () => cache.lookups);
  gauges.set('ratelimit.localcache.missCount', () => cache.lookups - cache.hits);
  return cache;
}

const hasAlgorithm = ({ limit, children }: Node): boolean =>
  (limit !== undefined && !limit.unlimited && ALGORITHMS.some((one) => one === limit.algorithm)) ||
  [...children.values()].some(hasAlgorithm);
