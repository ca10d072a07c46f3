/**
 * **In**: a call, and the domains in force. **Out**: for each descriptor, in order, the limit found and the ask for its counter.
 * **Fails**: with a ServiceError if a limit in the request has an unknown unit.
 */
import { type Descriptor, isUnit, type Override, type RateLimitCall, ServiceError, Unit } from '../call.ts';
import type { Domains, Limit, Outage } from '../config/tree.ts';
import { type Window, windowOf } from '../config/window.ts';
import { noHits, type RatelimitMetrics } from '../metrics/metrics.ts';
import { changeOf } from '../../counting/ask.ts';
import type { BucketSpec } from '../../counting/store.ts';
import { algorithmAsk, countedAs, windowAsk } from './asks.ts';
import type { KeyStyle } from './cache-key.ts';
import { type CountedLimit, isCounted, type LimitFound, type UncountedLimit } from './limit-found.ts';
import { fragment, joined, type Match, matchOf } from './match.ts';
import { matchOfAlso, windowKey } from './window-key.ts';

export interface WalkSettings {
  readonly keyPrefix: string;
  readonly keyStyle: KeyStyle;
  readonly quotaMode: boolean;
  /** Months are calendar months, also in limits from the request. */
  readonly calendarMonths: boolean;
  /** A dot in a key or a value becomes `_` in metric names, where dots separate levels. */
  readonly withoutDots: boolean;
  /** For limits that set none. */
  readonly outage: Outage;
}

const NONE: readonly CountedLimit[] = [];
/** For the end of a lease, which is not counted in metrics. */
const UNPUBLISHED = noHits();

interface CountedUnit {
  readonly window: Window;
  readonly bucket: BucketSpec;
}

export class LimitWalk {
  readonly #settings: WalkSettings;
  readonly #metrics: RatelimitMetrics;
  /** Of limits in requests. */
  readonly #units: Readonly<Record<Unit, CountedUnit>>;

  constructor(settings: WalkSettings, metrics: RatelimitMetrics) {
    this.#settings = settings;
    this.#metrics = metrics;
    this.#units = Object.fromEntries(
      Object.values(Unit).map((unit) => {
        const window = windowOf(unit, settings.calendarMonths);
        return [unit, { window, bucket: { counter: '', algorithm: 'window', perMs: window.lengthS * 1000 } }];
      }),
    ) as Record<Unit, CountedUnit>;
  }

  find(call: RateLimitCall, domains: Domains, nowS: number): readonly LimitFound[] {
    const { domain } = call;
    const root = domains.get(domain);
    let replaced: Set<string> | undefined;
    const found = call.descriptors.map((descriptor): LimitFound => {
      const hits = descriptor.hits ?? (call.hits || 1);
      if (root === undefined) {
        this.#metrics.unknownDomain(domain);
        return this.#none(hits);
      }
      if (descriptor.override !== undefined)
        return this.#overridden(domain, descriptor, descriptor.override, hits, nowS);
      const match = matchOf(root, domain, descriptor.entries, this.#settings.withoutDots);
      if (match === undefined) return this.#none(hits);
      const { limit } = match;
      if (!limit.endsLease) for (const name of limit.replaces) (replaced ??= new Set()).add(name);
      if (limit.unlimited) return { kind: 'unlimited', hits, isQuota: false };
      const also =
        limit.also.length === 0
          ? NONE
          : limit.also.map((more) => this.#counted(matchOfAlso(match, more), domain, descriptor, hits, nowS, NONE));
      return this.#counted(match, domain, descriptor, hits, nowS, also);
    });
    const names = replaced;
    return names === undefined
      ? found
      : found.map((one) => (isCounted(one) && names.has(one.currentLimit.name) ? this.#none(one.hits) : one));
  }

  #none(hits: number): UncountedLimit {
    return { kind: 'none', hits, isQuota: this.#settings.quotaMode };
  }

  /** The end of a lease costs nothing and is not counted in metrics. */
  #counted(
    match: Match,
    domain: string,
    { entries }: Descriptor,
    hits: number,
    nowS: number,
    also: readonly CountedLimit[],
  ): CountedLimit {
    const { limit, metricKey, policy } = match;
    const { requestsPerUnit, endsLease, window } = limit;
    const { bucket, currentLimit } = countedAs(limit, domain);
    const algorithmic = algorithmAsk(match, domain, entries, hits);
    const { startS, endsAtS } =
      algorithmic === undefined ? window.at(nowS) : { startS: nowS, endsAtS: nowS + window.lengthS };
    const ask =
      algorithmic ??
      windowAsk(bucket, windowKey(this.#settings, match, domain, entries, startS), hits, requestsPerUnit, endsAtS);
    return {
      kind: algorithmic === undefined ? 'window' : 'algorithm',
      hits: changeOf(ask),
      isQuota: (limit.quota || this.#settings.quotaMode) && !endsLease,
      isShadow: limit.shadow,
      metadata: limit.metadata,
      currentLimit,
      metrics: endsLease ? UNPUBLISHED : this.#metrics.rule(metricKey),
      policy: policy ?? nameOf(limit),
      outage: limit.outage ?? this.#settings.outage,
      capacity: limit.algorithm === 'gcra' ? limit.burst : requestsPerUnit,
      startS,
      endsAtS,
      also,
      ask,
      previous:
        limit.algorithm === 'sliding'
          ? { key: windowKey(this.#settings, match, domain, entries, window.at(startS - 1).startS), endsAtS }
          : undefined,
    };
  }

  /** A limit from the request; it replaces the limit of the file. */
  #overridden(
    domain: string,
    { entries }: Descriptor,
    { requestsPerUnit, unit }: Override,
    hits: number,
    nowS: number,
  ): CountedLimit {
    const { withoutDots, quotaMode, outage } = this.#settings;
    if (!isUnit(unit)) {
      this.#metrics.service.serviceError++;
      throw new ServiceError(
        'service_error',
        `the limit of a descriptor has the unit ${unit}, which is none of SECOND (1) to WEEK (7)`,
      );
    }
    const name = `${domain}.${entries.map(([key, value]) => fragment(joined(key, value), withoutDots)).join('.')}`;
    const { window, bucket } = this.#units[unit];
    const { startS, endsAtS } = window.at(nowS);
    const key = windowKey(this.#settings, { limit: { window }, sharedValues: undefined }, domain, entries, startS);
    return {
      kind: 'window',
      hits,
      isQuota: quotaMode,
      isShadow: false,
      metadata: undefined,
      currentLimit: { requestsPerUnit, unit, name: '' },
      metrics: this.#metrics.rule(name),
      policy: name,
      outage,
      capacity: requestsPerUnit,
      startS,
      endsAtS,
      also: NONE,
      ask: windowAsk(bucket, key, hits, requestsPerUnit, endsAtS),
      previous: undefined,
    };
  }
}

const nameOf = ({ name, fullKey }: Limit): string => (name === '' ? fullKey : name);
