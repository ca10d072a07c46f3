/**
 * How much of this, as envoyproxy/ratelimit answers it.
 * **In**: a call, and the limits in force. **Out**: a status for each descriptor, in order, and what they come to.
 * **Fails**: with a ServiceError, in the reference's words; a request can never stop the process.
 *
 * Source: src/service/ratelimit.go, src/limiter/base_limiter.go, src/redis/fixed_cache_impl.go.
 */
import { cacheKey, type KeyStyle } from './cache-key.ts';
import {
  Code, type CurrentLimit, type Descriptor, type DescriptorStatus, type JsonObject, type RateLimitCall, type RateLimitReply, type RateLimitService, secondsOf, ServiceError, Unit,
} from './call.ts';
import type { Domains, Outage } from './config/tree.ts';
import { spanWindow, type Window } from './config/window.ts';
import { dynamicMetadataOf } from './dynamic-metadata.ts';
import { EndedWindows } from './ended-windows.ts';
import type { LocalCache } from './local-cache.ts';
import { matchOf } from './match.ts';
import { MemoryStore } from './memory-store.ts';
import type { RatelimitMetrics, RuleMetrics } from './metrics.ts';
import type { CountAsk, CountStore } from './store.ts';

export interface ServiceOptions {
  /** `undefined` until files have been loaded. */
  readonly domains: () => Domains | undefined;
  /** Of windows of a second, and of all others. */
  readonly storeOf: (unit: Unit | undefined) => CountStore;
  readonly metrics: RatelimitMetrics;
  readonly nowMs: () => number;
  readonly settings: AnswerSettings;
  readonly localCache: LocalCache | undefined;
}

export interface AnswerSettings {
  readonly keyPrefix: string;
  readonly keyStyle: KeyStyle;
  /** Of the limit: hits beyond it are counted as near. */
  readonly nearLimitRatio: number;
  /** Whether a request that one limit refuses is charged to the others: as the reference does, as its STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT does, never. */
  readonly charging: 'always' | 'unless seen over' | 'all or none';
  /** Nothing is refused; it is only counted. */
  readonly shadowMode: boolean;
  readonly quotaMode: boolean;
  /** RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10), and Retry-After. */
  readonly ietfHeaders: boolean;
  readonly headers: { readonly limit: string; readonly remaining: string; readonly reset: string } | undefined;
  readonly dynamicMetadata: boolean;
  /** Where a limit says nothing of its own. */
  readonly outage: Outage;
  /** That share a limit while it is counted locally. */
  readonly replicas: number;
}

/** Proto's uint32, which means: without a limit. */
const UNLIMITED_REMAINING = 0xffff_ffff;
const OK: DescriptorStatus = { code: Code.OK, currentLimit: undefined, remaining: 0, resetS: undefined };
const UNLIMITED: DescriptorStatus = { ...OK, remaining: UNLIMITED_REMAINING };

const LOCAL_KEYS = 100_000;

/** A descriptor and the limit that it came to. */
interface Applied {
  readonly hits: number;
  readonly kind: 'none' | 'unlimited' | 'limited';
  readonly isQuota: boolean;
  readonly isShadow: boolean;
  readonly metadata: JsonObject | undefined;
  readonly currentLimit: CurrentLimit;
  readonly metrics: RuleMetrics;
  /** Of a sliding one the limit is less by what the window before still counts for. */
  ask: CountAsk;
  readonly startS: number;
  /** Of a sliding one, the counter of the window before. */
  readonly before: { readonly key: string; readonly endsAtS: number } | undefined;
  readonly unit: Unit | undefined;
  /** What a header calls it. */
  readonly policy: string;
  readonly outage: Outage;
}

type Counts = ReadonlyMap<Applied, number>;

export function rateLimitService(options: ServiceOptions): RateLimitService {
  const { metrics, nowMs, settings, localCache } = options;
  /** Counts while the store is away. */
  const local = new MemoryStore({ maxKeys: LOCAL_KEYS, nowMs });
  const ended = new EndedWindows(nowMs);

  function shouldRateLimit(call: RateLimitCall): RateLimitReply | Promise<RateLimitReply> {
    if (call.domain === '') throw refused('rate limit domain must not be empty');
    if (call.descriptors.length === 0) throw refused('rate limit descriptor list must not be empty');
    const domains = options.domains();
    if (domains === undefined) throw refused('no rate limit configuration loaded');
    const nowS = Math.floor(nowMs() / 1000);
    const applied = appliedTo(call, domains, nowS);
    const limited = applied.filter(({ kind }) => kind === 'limited');
    for (const { metrics: own, hits } of limited) own.total_hits += hits;
    const cached = localCache === undefined ? undefined : new Set(limited.filter(({ ask }) => localCache.isOver(ask.key, nowS)));
    const sliding = limited.filter(({ before }) => before !== undefined);
    const weighing = sliding.length === 0 ? undefined : weighed(sliding, nowS);
    const counts = weighing === undefined ? counted(limited, cached) : weighing.then(() => counted(limited, cached));
    const conclude = (after: Counts, cache: LocalCache | undefined): RateLimitReply => reply(call, applied, applied.map((one) => statusOf(one, after.get(one), cached?.has(one) === true, nowS, cache)));
    if (!(counts instanceof Promise)) return conclude(counts, localCache);
    return counts.then((after) => conclude(after, localCache), (error: unknown) => conclude(withoutStore(limited, cached, error), undefined)); // what is not known to be over is not remembered
  }

  function refused(message: string): ServiceError {
    metrics.service.serviceError++;
    return new ServiceError('service_error', message);
  }

  // ---------------------------------------------------------- which limit

  function appliedTo(call: RateLimitCall, domains: Domains, nowS: number): readonly Applied[] {
    const { domain } = call;
    const root = domains.get(domain);
    const replaced = new Set<string>();
    const applied = call.descriptors.map((descriptor): { readonly one: Applied; readonly name: string } => {
      const hits = descriptor.hits ?? (call.hits || 1);
      if (root === undefined) {
        metrics.unknownDomain(domain);
        return { one: nothing(hits), name: '' };
      }
      if (descriptor.override !== undefined) return { one: overridden(domain, descriptor, hits, nowS), name: '' };
      const match = matchOf(root, domain, descriptor.entries);
      if (match === undefined) return { one: nothing(hits), name: '' };
      const { limit, metricKey, sharedValues } = match;
      for (const name of limit.replaces) replaced.add(name);
      if (limit.unlimited) return { one: { ...nothing(hits), kind: 'unlimited', isQuota: false }, name: '' };
      const { requestsPerUnit, unit, name, window } = limit;
      return {
        name,
        one: {
          hits, kind: 'limited', isQuota: limit.quota, isShadow: limit.shadow, metadata: limit.metadata, unit, outage: limit.outage ?? settings.outage,
          currentLimit: { requestsPerUnit, unit, name }, metrics: metrics.rule(metricKey), policy: name === '' ? limit.fullKey : name, ...askOf(domain, descriptor, sharedValues, requestsPerUnit, window, limit.isSliding, hits, nowS),
        },
      };
    });
    return applied.map(({ one, name }) => (name !== '' && replaced.has(name) ? nothing(one.hits) : one));
  }

  /** No limit: with QUOTA_MODE it counts as a quota that is not used up. */
  const nothing = (hits: number): Applied => ({ ...NOTHING, hits, isQuota: settings.quotaMode });

  function overridden(domain: string, descriptor: Descriptor, hits: number, nowS: number): Applied {
    const { requestsPerUnit, unit } = descriptor.override as NonNullable<Descriptor['override']>;
    const key = `${domain}${descriptor.entries.map(([name, value]) => (value === '' ? `.${name}` : `.${name}_${value}`)).join('')}`;
    return {
      hits, kind: 'limited', isQuota: settings.quotaMode, isShadow: false, metadata: undefined, unit, outage: settings.outage, currentLimit: { requestsPerUnit, unit, name: '' },
      metrics: metrics.rule(key), policy: key, ...askOf(domain, descriptor, undefined, requestsPerUnit, UNIT_WINDOWS[unit], false, hits, nowS),
    };
  }

  function askOf(domain: string, { entries }: Descriptor, sharedValues: readonly (string | undefined)[] | undefined, limit: number, window: Window, isSliding: boolean, hits: number, nowS: number): Pick<Applied, 'ask' | 'startS' | 'before'> {
    const { startS, endsAtS } = window.at(nowS);
    const keyAt = (windowStartS: number): string => cacheKey(settings.keyStyle, { prefix: settings.keyPrefix, domain, entries, sharedValues, windowS: window.lengthS, windowStartS });
    return {
      ask: { key: keyAt(startS), hits, limit, keptS: isSliding ? window.lengthS * 2 : window.lengthS, endsAtS }, startS,
      before: isSliding ? { key: keyAt(window.at(startS - 1).startS), endsAtS } : undefined,
    };
  }

  /** Takes off a sliding limit what the window before still counts for. What that came to does not change any more: it is asked for once. */
  function weighed(sliding: readonly Applied[], nowS: number): undefined | Promise<void> {
    const unknown = sliding.filter(({ before }) => before !== undefined && !ended.has(before.key));
    const weigh = (): void => {
      for (const one of sliding) {
        const { limit, endsAtS } = one.ask;
        const counted = Math.min(limit, ended.get(one.before?.key ?? '') ?? 0);
        const left = Math.max(0, Math.floor(limit - counted * (endsAtS - nowS) / (endsAtS - one.startS)));
        one.ask = { ...one.ask, limit: left };
      }
    };
    if (unknown.length === 0) {
      weigh();
      return undefined;
    }
    const looks = unknown.map(async ({ before, unit }) => {
      const [count = 0] = await options.storeOf(unit).look([before?.key ?? '']);
      ended.set(before?.key ?? '', count, before?.endsAtS ?? 0);
    });
    return Promise.all(looks).then(weigh);
  }

  // ---------------------------------------------------------- counting

  /** What is over in the local cache is not asked for, and not counted. */
  function counted(limited: readonly Applied[], cached: ReadonlySet<Applied> | undefined): Counts | Promise<Counts> {
    const asked = cached === undefined || cached.size === 0 ? limited : limited.filter((one) => !cached.has(one));
    if (asked.length === 0) return NO_COUNTS;
    switch (settings.charging) {
      case 'always': return ask(asked, (store, asks) => store.add(asks));
      case 'all or none': {
        if ([...cached ?? []].some(stops)) return ask(asked, (store, asks) => store.look(asks.map(({ key }) => key)), true);
        // What refuses nothing is charged for itself.
        const [bound, free] = [asked.filter(stops), asked.filter((one) => !stops(one))];
        return both(ask(bound, (store, asks) => store.addIfAllFit(asks)), ask(free, (store, asks) => store.add(asks)));
      }
      case 'unless seen over': {
        // What only counts (shadow, quota) stops nothing; there the reference's is a bug.
        const charge = (isStopped: (one: Applied) => boolean): Counts | Promise<Counts> => ask(asked, (store, asks) => store.add(asks), false, (one) => (isStopped(one) ? { ...one.ask, hits: 0 } : one.ask));
        if ([...cached ?? []].some(stops)) return charge(() => true);
        const look = ask(asked, (store, asks) => store.look(asks.map(({ key }) => key)), true);
        const decide = (seen: Counts): Counts | Promise<Counts> => {
          const isOver = (one: Applied): boolean => (seen.get(one) ?? 0) > one.ask.limit;
          const isAnyOver = asked.some((one) => stops(one) && isOver(one));
          return charge((one) => isAnyOver && !isOver(one));
        };
        return look instanceof Promise ? look.then(decide) : decide(look);
      }
    }
  }

  /** `adds`: what the store says is before this call, whose hits are added. */
  function ask(
    asked: readonly Applied[], count: (store: CountStore, asks: readonly CountAsk[]) => readonly number[] | Promise<readonly number[]>, adds = false, askFor: (one: Applied) => CountAsk = (one) => one.ask,
  ): Counts | Promise<Counts> {
    const stores = new Map<CountStore, Applied[]>();
    for (const one of asked) {
      const store = options.storeOf(one.unit);
      const group = stores.get(store);
      if (group === undefined) stores.set(store, [one]);
      else group.push(one);
    }
    let counts: Counts | Promise<Counts> = NO_COUNTS;
    for (const [store, group] of stores) {
      const told = count(store, group.map(askFor));
      const named = (after: readonly number[]): Counts => new Map(group.map((one, at) => [one, (after[at] ?? 0) + (adds ? one.hits : 0)]));
      const own = told instanceof Promise ? told.then(named) : named(told);
      counts = stores.size === 1 ? own : both(counts, own);
    }
    return counts;
  }

  /** What each limit's policy answers when the store cannot be asked. One that wants an error fails the request. */
  function withoutStore(limited: readonly Applied[], cached: ReadonlySet<Applied> | undefined, error: unknown): Counts {
    if (!(error instanceof ServiceError)) throw error;
    metrics.service.redisError++;
    const asked = limited.filter((one) => cached?.has(one) !== true);
    if (asked.some(({ outage }) => outage === 'error')) throw error;
    return new Map(asked.map((one): [Applied, number] => {
      const { ask: { hits, limit }, outage } = one;
      if (outage !== 'error') metrics.outages[outage]++;
      switch (outage) {
        case 'open': case 'error': return [one, Math.min(hits, limit)];
        case 'closed': return [one, limit + Math.max(1, hits)];
        case 'local': {
          const share = Math.ceil(limit / settings.replicas);
          const [after = 0] = local.add([one.ask]);
          return [one, after > share ? limit + hits : limit - (share - after)];
        }
      }
    }));
  }

  // ---------------------------------------------------------- the answer

  function statusOf(one: Applied, after: number | undefined, isCached: boolean, nowS: number, cache: LocalCache | undefined): DescriptorStatus {
    if (one.kind === 'none') return OK;
    if (one.kind === 'unlimited') return UNLIMITED;
    const { metrics: own, hits, ask: { key, limit, endsAtS }, currentLimit } = one;
    const resetS = endsAtS - nowS;
    const isOver = isCached || (after ?? 0) > limit;
    if (isCached) {
      own.over_limit += hits;
      own.over_limit_with_local_cache += hits;
    } else {
      countNear(own, (after ?? 0) - hits, after ?? 0, hits, limit);
      if (isOver) cache?.markOver(key, endsAtS);
      else own.within_limit += hits;
    }
    if (isOver && one.isShadow) own.shadow_mode += hits;
    return { code: isOver && !one.isShadow ? Code.OVER_LIMIT : Code.OK, currentLimit, remaining: isOver ? 0 : limit - (after ?? 0), resetS };
  }

  /** Of the hits, those beyond the limit and those near it. */
  function countNear(own: RuleMetrics, before: number, after: number, hits: number, limit: number): void {
    const near = Math.floor(Math.fround(Math.fround(limit) * Math.fround(settings.nearLimitRatio)));
    if (after > limit) {
      if (before >= limit) own.over_limit += hits;
      else {
        own.over_limit += after - limit;
        own.near_limit += limit - Math.max(near, before);
      }
    } else if (after > near) own.near_limit += before >= near ? hits : after - near;
  }

  function reply(call: RateLimitCall, applied: readonly Applied[], statuses: readonly DescriptorStatus[]): RateLimitReply {
    const isOver = (at: number): boolean => statuses[at]?.code === Code.OVER_LIMIT;
    const quotas = applied.flatMap(({ isQuota }, at) => (isQuota ? [at] : []));
    const refuses = applied.some(({ isQuota }, at) => !isQuota && isOver(at)) || (quotas.length > 0 && quotas.every(isOver));
    const isShadowed = refuses && settings.shadowMode;
    if (isShadowed) metrics.service.globalShadowMode++;
    return {
      overallCode: refuses && !isShadowed ? Code.OVER_LIMIT : Code.OK, statuses,
      headers: [...(settings.headers === undefined ? [] : headersOf(applied, statuses)), ...(settings.ietfHeaders ? ietfHeadersOf(applied, statuses, refuses && !isShadowed) : [])],
      dynamicMetadata: settings.dynamicMetadata ? dynamicMetadataOf(call, applied.filter((_, at) => !isOver(at)).map(({ metadata }) => metadata)) : undefined,
    };
  }

  /** Of the least remaining, the first; but of those that refuse (and are no quota), the last. */
  function headersOf(applied: readonly Applied[], statuses: readonly DescriptorStatus[]): RateLimitReply['headers'] {
    let shown: DescriptorStatus | undefined;
    let least = UNLIMITED_REMAINING;
    for (const [at, status] of statuses.entries()) {
      if (status.currentLimit === undefined) continue;
      const refuses = status.code === Code.OVER_LIMIT && applied[at]?.isQuota === false;
      if (!refuses && status.remaining >= least) continue;
      shown = status;
      least = refuses ? 0 : status.remaining;
    }
    const { headers } = settings;
    if (shown?.currentLimit === undefined || headers === undefined) return [];
    return [[headers.limit, String(shown.currentLimit.requestsPerUnit)], [headers.remaining, String(shown.remaining)], [headers.reset, String(shown.resetS ?? 0)]];
  }

  return { shouldRateLimit };
}

/** A limit in a request has one of the units. */
const UNIT_WINDOWS = Object.fromEntries(Object.values(Unit).map((unit) => [unit, spanWindow(secondsOf(unit))])) as Readonly<Record<Unit, Window>>;

const stops = ({ isShadow, isQuota }: Applied): boolean => !isShadow && !isQuota;

const NO_COUNTS: ReadonlyMap<Applied, number> = new Map();
const NOTHING: Applied = {
  hits: 0, kind: 'none', isQuota: false, isShadow: false, metadata: undefined, unit: 1, outage: 'error', policy: '', startS: 0, before: undefined, currentLimit: { requestsPerUnit: 0, unit: 1, name: '' },
  metrics: { total_hits: 0, over_limit: 0, near_limit: 0, over_limit_with_local_cache: 0, within_limit: 0, shadow_mode: 0 },
  ask: { key: '', hits: 0, limit: 0, keptS: 1, endsAtS: 0 },
};

function both<K, V>(one: ReadonlyMap<K, V> | Promise<ReadonlyMap<K, V>>, other: ReadonlyMap<K, V> | Promise<ReadonlyMap<K, V>>): ReadonlyMap<K, V> | Promise<ReadonlyMap<K, V>> {
  if (one instanceof Promise || other instanceof Promise) return Promise.all([one, other]).then(([a, b]) => new Map([...a, ...b]));
  return new Map([...one, ...other]);
}

/** Every limit that counts for the caller: what it is, and what is left of it; and, where it is refused, when to come again. */
function ietfHeadersOf(applied: readonly Applied[], statuses: readonly DescriptorStatus[], isRefused: boolean): RateLimitReply['headers'] {
  const shown = applied.flatMap((one, at) => (one.kind === 'limited' && !one.isShadow ? [{ one, status: statuses[at] as DescriptorStatus }] : []));
  if (shown.length === 0) return [];
  const name = ({ policy }: Applied): string => `"${policy.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`; // a string of RFC 9651
  const retryS = Math.max(0, ...shown.map(({ status }) => (status.code === Code.OVER_LIMIT ? status.resetS ?? 0 : 0)));
  return [
    ['RateLimit-Policy', shown.map(({ one }) => `${name(one)};q=${one.currentLimit.requestsPerUnit};w=${one.ask.endsAtS - one.startS}`).join(', ')],
    ['RateLimit', shown.map(({ one, status }) => `${name(one)};r=${status.remaining};t=${status.resetS ?? 0}`).join(', ')],
    ...(isRefused && retryS > 0 ? [['Retry-After', String(retryS)] as const] : []),
  ];
}
