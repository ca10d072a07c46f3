/**
 * A rate limit service that answers as envoyproxy/ratelimit does: walk, charge, reply.
 * **In**: a call, and the limits in force. **Out**: a status for each descriptor, in order, and the overall code; synchronously if
 * the stores answer synchronously. **Fails**: with a ServiceError, in the reference's words.
 *
 * Source: src/service/ratelimit.go, src/limiter/base_limiter.go, src/redis/fixed_cache_impl.go.
 */
import { replyOf } from '../answer/reply.ts';
import { type RateLimitService, ServiceError } from '../call.ts';
import { Charging, type ChargingOptions } from '../charge/charging.ts';
import type { Domains } from '../config/tree.ts';
import { LimitWalk } from '../walk/walk.ts';
import type { ServiceSettings } from './service-settings.ts';

export interface ServiceOptions extends ChargingOptions {
  readonly settings: ServiceSettings;
  /** `undefined` until files have been loaded. */
  readonly domains: () => Domains | undefined;
}

export function rateLimitService(options: ServiceOptions): RateLimitService {
  const { metrics, nowMs, settings } = options;
  const walk = new LimitWalk(settings, metrics);
  const charging = new Charging(options);

  function refused(message: string): ServiceError {
    metrics.service.serviceError++;
    return new ServiceError('service_error', message);
  }

  return {
    shouldRateLimit(call) {
      if (call.domain === '') throw refused('rate limit domain must not be empty');
      if (call.descriptors.length === 0) throw refused('rate limit descriptor list must not be empty');
      const domains = options.domains();
      if (domains === undefined) throw refused('no rate limit configuration loaded');
      const nowS = Math.floor(nowMs() / 1000);
      const found = walk.find(call, domains, nowS);
      const charged = charging.charge(found, nowS);
      return charged instanceof Promise
        ? charged.then((charges) => replyOf(call, found, charges, nowS, settings, metrics))
        : replyOf(call, found, charged, nowS, settings, metrics);
    },
  };
}
