/**
 * How much of this, as envoyproxy/ratelimit answers it.
 * **In**: a call, and the limits in force. **Out**: a status for each descriptor, in order, and what they come to.
 * **Fails**: with a ServiceError, in the reference's words; a request can never stop the process.
 *
 * Source: src/service/ratelimit.go, src/limiter/base_limiter.go, src/redis/fixed_cache_impl.go.
 */
import { replyOf, statusOf } from '../answer/answer.ts';
import { AppliedLimits, flattened } from '../walk/walk.ts';
import { type RateLimitCall, type RateLimitReply, type RateLimitService, ServiceError } from '../call.ts';
import { Charging, type ChargingOptions } from '../charge/charging.ts';
import type { Domains } from '../config/tree.ts';
import type { LocalCache } from '../charge/local-cache.ts';

export interface ServiceOptions extends ChargingOptions {
  /** `undefined` until files have been loaded. */
  readonly domains: () => Domains | undefined;
  readonly localCache: LocalCache | undefined;
}

export function rateLimitService(options: ServiceOptions): RateLimitService {
  const { metrics, nowMs, settings, localCache } = options;
  const limits = new AppliedLimits(settings, metrics);
  const charging = new Charging(options);

  function refused(message: string): ServiceError {
    metrics.service.serviceError++;
    return new ServiceError('service_error', message);
  }

  function shouldRateLimit(call: RateLimitCall): RateLimitReply | Promise<RateLimitReply> {
    if (call.domain === '') throw refused('rate limit domain must not be empty');
    if (call.descriptors.length === 0) throw refused('rate limit descriptor list must not be empty');
    const domains = options.domains();
    if (domains === undefined) throw refused('no rate limit configuration loaded');
    const nowS = Math.floor(nowMs() / 1000);
    const applied = limits.of(call, domains, nowS);
    const all = flattened(applied);
    const limited = all.filter(({ kind }) => kind === 'limited');
    for (const { metrics: own, hits } of limited) own.total_hits += hits;
    if (localCache !== undefined)
      for (const one of limited) one.isCached = one.algorithm === undefined && localCache.isOver(one.ask.key, nowS);
    const sliding = limited.filter(({ before }) => before !== undefined);
    const weighing = sliding.length === 0 ? undefined : charging.weighed(sliding, nowS);
    const waits = weighing === undefined ? charging.counted(limited) : weighing.then(() => charging.counted(limited));
    const conclude = (cache: LocalCache | undefined): RateLimitReply =>
      replyOf(
        call,
        applied,
        all.map((one) => statusOf(one, nowS, settings.nearLimitRatio, cache)),
        settings,
        metrics,
      );
    if (waits === undefined) return conclude(localCache);
    return waits.then(
      () => conclude(localCache),
      (error: unknown) => {
        const answered = charging.withoutStore(limited, error);
        const withoutCache = (): RateLimitReply => conclude(undefined); // what is not known to be over is not remembered
        return answered === undefined ? withoutCache() : answered.then(withoutCache);
      },
    );
  }

  return { shouldRateLimit };
}
