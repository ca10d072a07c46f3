/**
 * **In**: a call. **Out**: for each of its descriptors the limit that it comes to, and what is to be asked of its counter; in order.
 * **Fails**: never.
 */
import type { AnswerSettings } from './answer-settings.ts';
import { cacheKey } from './cache-key.ts';
import { type CurrentLimit, type Descriptor, type JsonObject, type RateLimitCall, secondsOf, Unit } from './call.ts';
import type { Domains, Outage } from './config/tree.ts';
import { spanWindow, type Window } from './config/window.ts';
import { matchOf } from './match.ts';
import type { RatelimitMetrics, RuleMetrics } from './metrics.ts';
import type { CountAsk } from './store.ts';

/** A descriptor and the limit that it came to. */
export interface Applied {
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

/** It refuses the request where it is over. */
export const stops = ({ isShadow, isQuota }: Applied): boolean => !isShadow && !isQuota;

export class AppliedLimits {
  readonly #settings: AnswerSettings;
  readonly #metrics: RatelimitMetrics;

  constructor(settings: AnswerSettings, metrics: RatelimitMetrics) {
    this.#settings = settings;
    this.#metrics = metrics;
  }

  of(call: RateLimitCall, domains: Domains, nowS: number): readonly Applied[] {
    const { domain } = call;
    const root = domains.get(domain);
    const replaced = new Set<string>();
    const applied = call.descriptors.map((descriptor): { readonly one: Applied; readonly name: string } => {
      const hits = descriptor.hits ?? (call.hits || 1);
      if (root === undefined) {
        this.#metrics.unknownDomain(domain);
        return { one: this.#nothing(hits), name: '' };
      }
      if (descriptor.override !== undefined) return { one: this.#overridden(domain, descriptor, hits, nowS), name: '' };
      const match = matchOf(root, domain, descriptor.entries);
      if (match === undefined) return { one: this.#nothing(hits), name: '' };
      const { limit, metricKey, sharedValues } = match;
      for (const name of limit.replaces) replaced.add(name);
      if (limit.unlimited) return { one: { ...this.#nothing(hits), kind: 'unlimited', isQuota: false }, name: '' };
      const { requestsPerUnit, unit, name, window } = limit;
      return {
        name,
        one: {
          hits, kind: 'limited', isQuota: limit.quota, isShadow: limit.shadow, metadata: limit.metadata, unit, outage: limit.outage ?? this.#settings.outage,
          currentLimit: { requestsPerUnit, unit, name }, metrics: this.#metrics.rule(metricKey), policy: name === '' ? limit.fullKey : name, ...this.#askOf(domain, descriptor, sharedValues, requestsPerUnit, window, limit.isSliding, hits, nowS),
        },
      };
    });
    return applied.map(({ one, name }) => (name !== '' && replaced.has(name) ? this.#nothing(one.hits) : one));
  }

  /** No limit: with QUOTA_MODE it counts as a quota that is not used up. */
  #nothing(hits: number): Applied {
    return { ...NOTHING, hits, isQuota: this.#settings.quotaMode };
  }

  #overridden(domain: string, descriptor: Descriptor, hits: number, nowS: number): Applied {
    const { requestsPerUnit, unit } = descriptor.override as NonNullable<Descriptor['override']>;
    const key = `${domain}${descriptor.entries.map(([name, value]) => (value === '' ? `.${name}` : `.${name}_${value}`)).join('')}`;
    return {
      hits, kind: 'limited', isQuota: this.#settings.quotaMode, isShadow: false, metadata: undefined, unit, outage: this.#settings.outage, currentLimit: { requestsPerUnit, unit, name: '' },
      metrics: this.#metrics.rule(key), policy: key, ...this.#askOf(domain, descriptor, undefined, requestsPerUnit, UNIT_WINDOWS[unit], false, hits, nowS),
    };
  }

  #askOf(domain: string, { entries }: Descriptor, sharedValues: readonly (string | undefined)[] | undefined, limit: number, window: Window, isSliding: boolean, hits: number, nowS: number): Pick<Applied, 'ask' | 'startS' | 'before'> {
    const { keyPrefix: prefix, keyStyle } = this.#settings;
    const { startS, endsAtS } = window.at(nowS);
    const keyAt = (windowStartS: number): string => cacheKey(keyStyle, { prefix, domain, entries, sharedValues, windowS: window.lengthS, windowStartS });
    return {
      ask: { key: keyAt(startS), hits, limit, keptS: isSliding ? window.lengthS * 2 : window.lengthS, endsAtS }, startS,
      before: isSliding ? { key: keyAt(window.at(startS - 1).startS), endsAtS } : undefined,
    };
  }
}

/** A limit in a request has one of the units. */
const UNIT_WINDOWS = Object.fromEntries(Object.values(Unit).map((unit) => [unit, spanWindow(secondsOf(unit))])) as Readonly<Record<Unit, Window>>;

const NOTHING: Applied = {
  hits: 0, kind: 'none', isQuota: false, isShadow: false, metadata: undefined, unit: 1, outage: 'error', policy: '', startS: 0, before: undefined, currentLimit: { requestsPerUnit: 0, unit: 1, name: '' },
  metrics: { total_hits: 0, over_limit: 0, near_limit: 0, over_limit_with_local_cache: 0, within_limit: 0, shadow_mode: 0 },
  ask: { key: '', hits: 0, limit: 0, keptS: 1, endsAtS: 0 },
};
