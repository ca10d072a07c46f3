/**
 * The first of a descriptor's three records: limit found (here), charge made (charge), answer (DescriptorStatus). Later stages read them.
 */
import type { CurrentLimit, JsonObject } from '../call.ts';
import type { Outage } from '../config/tree.ts';
import type { RuleMetrics } from '../metrics/metrics.ts';
import type { CounterAsk } from '../../counting/store.ts';

export type LimitFound = UncountedLimit | CountedLimit;

/** No limit was found, or an unlimited one. */
export interface UncountedLimit {
  readonly kind: 'none' | 'unlimited';
  readonly hits: number;
  /** With QUOTA_MODE a descriptor without a limit is a quota that is never exhausted. */
  readonly isQuota: boolean;
}

export interface CountedLimit {
  /** By windows, or by an algorithm without them. */
  readonly kind: 'window' | 'algorithm';
  readonly hits: number;
  readonly isQuota: boolean;
  readonly isShadow: boolean;
  readonly metadata: JsonObject | undefined;
  readonly currentLimit: CurrentLimit;
  readonly metrics: RuleMetrics;
  /** Name of the limit in RateLimit-Policy. */
  readonly policy: string;
  readonly outage: Outage;
  /** The largest count: the limit, or the burst of `gcra`. */
  readonly capacity: number;
  /** The bounds of the window in seconds since 1970; without windows: now, and a period later. */
  readonly startS: number;
  readonly endsAtS: number;
  /** Further limits of the same descriptor, charged all or none. They have none themselves. */
  readonly also: readonly CountedLimit[];
  /** Hits of a window are owed; its key contains the window. */
  readonly ask: CounterAsk;
  /** `sliding`: the counter of the previous window. */
  readonly previous: { readonly key: string; readonly endsAtS: number } | undefined;
}

export const isCounted = (found: LimitFound): found is CountedLimit =>
  found.kind === 'window' || found.kind === 'algorithm';
