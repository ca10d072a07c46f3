import type { KeyStyle } from '../walk/cache-key.ts';
import type { Outage } from '../config/tree.ts';

/** What of the settings an answer depends on. */
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
  /** Of limits that a request brings, too: a month is the calendar's. */
  readonly calendarMonths: boolean;
  /** A point within a key or a value is `_` in names of metrics, where points part levels. */
  readonly withoutDots: boolean;
  /** RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10), and Retry-After. */
  readonly ietfHeaders: boolean;
  readonly headers: { readonly limit: string; readonly remaining: string; readonly reset: string } | undefined;
  readonly dynamicMetadata: boolean;
  /** Where a limit says nothing of its own. */
  readonly outage: Outage;
  /** That share a limit while it is counted locally. */
  readonly replicas: number;
}
