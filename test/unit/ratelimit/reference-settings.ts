import { expect } from 'vitest';
import { readConfigs } from '../../../src/ratelimit/config/read.ts';
import type { Domains } from '../../../src/ratelimit/config/tree.ts';
import type { ServiceSettings } from '../../../src/ratelimit/serve/service-settings.ts';

/** Settings as in envoyproxy/ratelimit. */
export const REFERENCE_SETTINGS: ServiceSettings = {
  keyPrefix: '',
  keyStyle: 'compatible',
  nearLimitRatio: 0.8,
  charging: 'always',
  shadowMode: false,
  quotaMode: false,
  calendarMonths: false,
  withoutDots: false,
  headers: undefined,
  ietfHeaders: false,
  dynamicMetadata: false,
  outage: 'error',
  replicas: 1,
};

/** The domain `d` with these descriptors, which must be valid. */
export function domainsOf(descriptors: string): Domains {
  const text = `domain: d\ndescriptors:\n${descriptors.replaceAll(/^/gm, '  ')}`;
  const { domains, findings } = readConfigs([{ file: 'f', text }], { mergeDomains: false });
  expect(findings).toEqual([]);
  return domains;
}
