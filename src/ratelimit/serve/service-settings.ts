import type { AnswerSettings } from '../answer/reply.ts';
import type { ChargeSettings } from '../charge/charging.ts';
import { OUTAGES } from '../config/tree.ts';
import type { Settings } from '../settings/settings.ts';
import type { WalkSettings } from '../walk/walk.ts';

/** The settings that a call reads, stage by stage. */
export interface ServiceSettings extends WalkSettings, ChargeSettings, AnswerSettings {}

export function serviceSettings(settings: Settings): ServiceSettings {
  return {
    keyPrefix: settings.CACHE_KEY_PREFIX,
    keyStyle: settings.SLUICE_SAFE ? 'safe' : 'compatible',
    nearLimitRatio: settings.NEAR_LIMIT_RATIO,
    shadowMode: settings.SHADOW_MODE,
    quotaMode: settings.QUOTA_MODE,
    calendarMonths: settings.USE_CALENDAR_MONTH_RATE_LIMIT,
    withoutDots: settings.SANITIZE_DESCRIPTOR_METRIC_DOTS,
    charging: settings.SLUICE_SAFE
      ? 'all or none'
      : settings.STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT
        ? 'look first'
        : 'always',
    ietfHeaders: settings.SLUICE_IETF_HEADERS,
    headers: settings.LIMIT_RESPONSE_HEADERS_ENABLED
      ? {
          limit: settings.LIMIT_LIMIT_HEADER,
          remaining: settings.LIMIT_REMAINING_HEADER,
          reset: settings.LIMIT_RESET_HEADER,
        }
      : undefined,
    dynamicMetadata: settings.RESPONSE_DYNAMIC_METADATA,
    outage: OUTAGES.find((word) => word === settings.SLUICE_OUTAGE) ?? 'error',
    replicas: Math.max(1, settings.SLUICE_REPLICAS),
  };
}
