/** The keys of a file, and the check of keys and scalars that the reference makes before it reads limits. */
import { meant } from '../../text/nearest.ts';
import type { FileFindings } from './file-findings.ts';
import type { GoMap, GoNode, GoScalar } from './go-yaml.ts';

export const ROOT_KEYS = ['domain', 'descriptors'];
export const DESCRIPTOR_KEYS = [
  'key',
  'value',
  'descriptors',
  'rate_limit',
  'shadow_mode',
  'quota_mode',
  'detailed_metric',
  'value_to_metric',
  'share_threshold',
  'metadata',
];
export const LIMIT_KEYS = ['unit', 'requests_per_unit', 'unlimited', 'name', 'replaces', 'sluice'];
export const REPLACES_KEYS = ['name'];
/** Keys of `sluice`, an extension that the reference lacks. */
export const SLUICE_KEYS = ['outage', 'algorithm', 'per', 'zone', 'burst', 'ended_by', 'also'];
/** An entry of `also` below it. */
export const ALSO_KEYS = ['unit', 'requests_per_unit', 'sluice'];

/** One flat set, as in the reference: every key is accepted at every level. */
const KNOWN_KEYS = [...new Set([...ROOT_KEYS, ...DESCRIPTOR_KEYS, ...LIMIT_KEYS, ...SLUICE_KEYS])];

const MAX_INT64 = 2n ** 63n - 1n;

/** Checks a map and everything below it, except `metadata`, which may contain anything. */
export function checkKeys(map: GoMap, findings: FileFindings, checked: Set<GoMap> = new Set()): void {
  if (checked.has(map)) return;
  checked.add(map);
  const values = new Map<string, GoNode>();
  for (const { key, value } of map.entries) {
    const name = (key as GoScalar).value;
    if (typeof name !== 'string')
      findings.error(
        key,
        'RATELIMIT_KEY_TYPE',
        `config error, key is not of type string: ${findings.textAt(key)}; quote it`,
      );
    else if (!KNOWN_KEYS.includes(name))
      findings.error(key, 'RATELIMIT_UNKNOWN_KEY', `config error, unknown key '${name}'${meant(name, KNOWN_KEYS)}`);
    else if (name !== 'metadata') values.set(name, value);
  }
  for (const value of values.values()) checkValue(value, findings, checked);
}

function checkValue(value: GoNode, findings: FileFindings, checked: Set<GoMap>): void {
  if (value.kind === 'map') return checkKeys(value, findings, checked);
  if (value.kind === 'list') {
    for (const item of value.items) {
      if (item.kind === 'map') checkKeys(item, findings, checked);
      else
        findings.error(
          item,
          'RATELIMIT_KEY_TYPE',
          `config error, yaml file contains list of type other than map: ${findings.textAt(item)}`,
        );
    }
    return;
  }
  if (typeof value.value === 'number')
    findings.error(
      value,
      'RATELIMIT_VALUE_TYPE',
      `error checking config: ${findings.textAt(value)} is a decimal number; quote it if it is text`,
    );
  else if (typeof value.value === 'bigint' && value.value > MAX_INT64)
    findings.error(
      value,
      'RATELIMIT_VALUE_TYPE',
      `error checking config: ${findings.textAt(value)} is too large a number; quote it if it is text`,
    );
}
