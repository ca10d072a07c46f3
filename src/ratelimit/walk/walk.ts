/**
 * **In**: a call. **Out**: for each of its descriptors the limit that it comes to, and what is to be asked of its counter; in order.
 * **Fails**: with a ServiceError where a limit that the caller brings has no unit that there is.
 */
import { algorithmAsk } from './algorithm-ask.ts';
import type { AlgorithmAsk } from '../charge/algorithm-store.ts';
import type { AnswerSettings } from '../answer/answer-settings.ts';
import { cacheKey } from './cache-key.ts';
import {
  type CurrentLimit,
  type Descriptor,
  isUnit,
  type JsonObject,
  type RateLimitCall,
  ServiceError,
  Unit,
} from '../call.ts';
import type { Domains, Outage } from '../config/tree.ts';
import { type Window, windowOf } from '../config/window.ts';
import { fragment, joined, type Match, matchOf } from './match.ts';
import { matchOfAlso, windowKey } from './several-limits.ts';
import type { RatelimitMetrics, RuleMetrics } from '../metrics/metrics.ts';
import type { CountAsk } from '../charge/store.ts';

/** A descriptor, the limit that it came to, and what became of it. */
export interface Applied {
  readonly hits: number;
  readonly kind: 'none' | 'unlimited' | 'limited';
  readonly isQuota: boolean;
  readonly isShadow: boolean;
  readonly metadata: JsonObject | undefined;
  readonly currentLimit: CurrentLimit;
  readonly metrics: RuleMetrics;
  /** Of a sliding one the limit is less by what the window before still counts for. Where an algorithm is asked, what it comes to in hits. */
  ask: CountAsk;
  /** Where it is no window. */
  readonly algorithm: AlgorithmAsk | undefined;
  /** As the algorithm tells; else the window's end. */
  resetS: number | undefined;
  readonly startS: number;
  /** Known to be over: the store is not asked. */
  isCached: boolean;
  /** Of the same descriptor: charged together with it, or not at all. */
  readonly also: readonly Applied[];
  /** What its counter is at, with this call. */
  after: number;
  /** Of a sliding one, the counter of the window before. */
  readonly before: { readonly key: string; readonly endsAtS: number } | undefined;
  readonly unit: Unit | undefined;
  /** What a header calls it. */
  readonly policy: string;
  readonly outage: Outage;
}

/** It refuses the request where it is over. */
const NONE: readonly Applied[] = [];

/** Of all limits, those of one descriptor beside each other. */
export const flattened = (applied: readonly Applied[]): readonly Applied[] =>
  applied.some(({ also }) => also.length > 0) ? applied.flatMap((one) => [one, ...one.also]) : applied;

export const stops = ({ isShadow, isQuota }: Applied): boolean => !isShadow && !isQuota;

export class AppliedLimits {
  readonly #settings: AnswerSettings;
  readonly #metrics: RatelimitMetrics;
  /** Of limits that a request brings. */
  readonly #windows: Readonly<Record<Unit, Window>>;

  constructor(settings: AnswerSettings, metrics: RatelimitMetrics) {
    this.#settings = settings;
    this.#metrics = metrics;
    this.#windows = Object.fromEntries(
      Object.values(Unit).map((unit) => [unit, windowOf(unit, settings.calendarMonths)]),
    ) as Record<Unit, Window>;
  }

  of(call: RateLimitCall, domains: Domains, nowS: number): readonly Applied[] {
    const { domain } = call;
    const root = domains.get(domain);
    let replaced: Set<string> | undefined;
    const applied = call.descriptors.map((descriptor): Applied => {
      const hits = descriptor.hits ?? (call.hits || 1);
      if (root === undefined) {
        this.#metrics.unknownDomain(domain);
        return this.#nothing(hits);
      }
      if (descriptor.override !== undefined) return this.#overridden(domain, descriptor, hits, nowS);
      const match = matchOf(root, domain, descriptor.entries, this.#settings.withoutDots);
      if (match === undefined) return this.#nothing(hits);
      const { limit } = match;
      if (!limit.endsLease) for (const name of limit.replaces) (replaced ??= new Set()).add(name);
      if (limit.unlimited) return { ...this.#nothing(hits), kind: 'unlimited', isQuota: false };
      const one = this.#limited(match, domain, descriptor, hits, nowS);
      return limit.also.length === 0
        ? one
        : {
            ...one,
            also: limit.also.map((more) => this.#limited(matchOfAlso(match, more), domain, descriptor, hits, nowS)),
          };
    });
    const names = replaced;
    return names === undefined
      ? applied
      : applied.map((one) =>
          one.kind === 'limited' && names.has(one.currentLimit.name) ? this.#nothing(one.hits) : one,
        );
  }

  #limited(match: Match, domain: string, descriptor: Descriptor, hits: number, nowS: number): Applied {
    const { limit, metricKey } = match;
    const algorithm = algorithmAsk(match, domain, descriptor.entries, hits);
    if (algorithm !== undefined) return this.#algorithmic(match, algorithm, nowS);
    const {
      requestsPerUnit,
      unit,
      name,
      window: { lengthS },
    } = limit;
    const { startS, endsAtS } = limit.window.at(nowS);
    const isSliding = limit.algorithm === 'sliding';
    const before = isSliding ? limit.window.at(startS - 1) : undefined;
    return {
      hits,
      kind: 'limited',
      isQuota: limit.quota || this.#settings.quotaMode,
      isShadow: limit.shadow,
      metadata: limit.metadata,
      unit,
      outage: limit.outage ?? this.#settings.outage,
      currentLimit: { requestsPerUnit, unit, name },
      metrics: this.#metrics.rule(metricKey),
      policy: match.policy ?? (name === '' ? limit.fullKey : name),
      ask: {
        key: windowKey(this.#settings, match, domain, descriptor.entries, startS),
        group: limit.fullKey,
        hits,
        limit: requestsPerUnit,
        keptS: isSliding ? lengthS * 2 : lengthS,
        endsAtS,
        usedUntilS: isSliding ? limit.window.at(endsAtS).endsAtS : endsAtS,
      },
      startS,
      before:
        before === undefined
          ? undefined
          : { key: windowKey(this.#settings, match, domain, descriptor.entries, before.startS), endsAtS },
      isCached: false,
      after: 0,
      algorithm: undefined,
      resetS: undefined,
      also: NONE,
    };
  }

  /** Its counter is as large as its limit, or as its burst. The end of a lease costs nothing and is in no metric. */
  #algorithmic({ limit, metricKey, policy }: Match, algorithm: AlgorithmAsk, nowS: number): Applied {
    const {
      requestsPerUnit,
      unit,
      name,
      window: { lengthS },
      endsLease,
    } = limit;
    const { hits } = algorithm;
    return {
      hits,
      kind: 'limited',
      isQuota: (limit.quota || this.#settings.quotaMode) && !endsLease,
      isShadow: limit.shadow,
      metadata: limit.metadata,
      unit,
      outage: limit.outage ?? this.#settings.outage,
      currentLimit: { requestsPerUnit, unit, name },
      metrics: endsLease ? NOTHING.metrics : this.#metrics.rule(metricKey),
      policy: policy ?? (name === '' ? limit.fullKey : name),
      ask: {
        key: algorithm.key,
        hits,
        limit: algorithm.algorithm === 'gcra' ? algorithm.burst : requestsPerUnit,
        keptS: lengthS,
        endsAtS: nowS + lengthS,
        usedUntilS: nowS + lengthS,
      },
      startS: nowS,
      before: undefined,
      isCached: false,
      after: 0,
      algorithm,
      resetS: undefined,
      also: NONE,
    };
  }

  #refused(message: string): ServiceError {
    this.#metrics.service.serviceError++;
    return new ServiceError('service_error', message);
  }

  /** No limit: with QUOTA_MODE it counts as a quota that is not used up. */
  #nothing(hits: number): Applied {
    return { ...NOTHING, hits, isQuota: this.#settings.quotaMode };
  }

  #overridden(domain: string, descriptor: Descriptor, hits: number, nowS: number): Applied {
    const { requestsPerUnit, unit } = descriptor.override as NonNullable<Descriptor['override']>;
    if (!isUnit(unit))
      throw this.#refused(`the limit of a descriptor has the unit ${unit}, which is none of SECOND (1) to WEEK (7)`);
    const key = `${domain}.${descriptor.entries.map(([name, value]) => fragment(joined(name, value), this.#settings.withoutDots)).join('.')}`;
    const window = this.#windows[unit];
    const { lengthS } = window;
    const { startS, endsAtS } = window.at(nowS);
    return {
      hits,
      kind: 'limited',
      isQuota: this.#settings.quotaMode,
      isShadow: false,
      metadata: undefined,
      unit,
      outage: this.#settings.outage,
      currentLimit: { requestsPerUnit, unit, name: '' },
      metrics: this.#metrics.rule(key),
      policy: key,
      ask: {
        key: cacheKey(this.#settings.keyStyle, {
          prefix: this.#settings.keyPrefix,
          domain,
          entries: descriptor.entries,
          sharedValues: undefined,
          windowS: lengthS,
          windowStartS: startS,
        }),
        hits,
        limit: requestsPerUnit,
        keptS: lengthS,
        endsAtS,
        usedUntilS: endsAtS,
      },
      startS,
      before: undefined,
      isCached: false,
      after: 0,
      algorithm: undefined,
      resetS: undefined,
      also: NONE,
    };
  }
}

const NOTHING: Applied = {
  hits: 0,
  also: NONE,
  kind: 'none',
  algorithm: undefined,
  resetS: undefined,
  isQuota: false,
  isShadow: false,
  metadata: undefined,
  unit: 1,
  outage: 'error',
  policy: '',
  startS: 0,
  before: undefined,
  isCached: false,
  after: 0,
  currentLimit: { requestsPerUnit: 0, unit: 1, name: '' },
  metrics: {
    total_hits: 0,
    over_limit: 0,
    near_limit: 0,
    over_limit_with_local_cache: 0,
    within_limit: 0,
    shadow_mode: 0,
  },
  ask: { key: '', hits: 0, limit: 0, keptS: 1, endsAtS: 0, usedUntilS: 0 },
};
