/** Random files, settings and requests, all valid, that combine limits in all ways. */
import type { Request } from './pair.ts';
import type { Random } from '../../test/parts/random.ts';

export interface World {
  readonly files: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, string>>;
}

const KEYS = ['user', 'path', 'a', 'a_b', 'tenant'];
const VALUES = ['', 'ann', 'bob', '/x/1', '/x/y/z', 'b', '10.0.0.1', 'a:b|c', 'é'];
const PATTERNS = ['*', '/x/*', '/x/*/z', '*n', 'a*n', '*/*'];
const NAMES = ['one', 'two', 'three', ''];
/** Long enough that no window ends during a run. */
const UNITS = ['hour', 'day', 'WEEK', 'month', 'Year'];

function descriptors(random: Random, depth: number, ids: { next: number }): object[] {
  const taken = new Set<string>();
  return random
    .list(depth === 0 ? [4, 6, 8] : [0, 1, 2, 3], () => {
      const isStarInKey = random.chance(12);
      const key = isStarInKey ? random.one(['us*', 'p*h', '*']) : random.one(KEYS);
      const value = random.chance(3) ? '' : random.chance(2) ? random.one(PATTERNS) : random.one(VALUES);
      const text = value === '' ? key : `${key}_${value}`;
      if (taken.has(text)) return [];
      taken.add(text);
      const hasStar = text.includes('*');
      const [isDetailed, hasValueInMetric] = [random.chance(6), random.chance(5)];
      const id = ids.next++;
      const unlimited = random.chance(10);
      const name = random.one(NAMES);
      // The reference loses metadata where it rebuilds the limit, and merges into a rule's own metadata; those cases are left out.
      const hasMetadata = !isDetailed && !hasValueInMetric && !isStarInKey && depth === 0 && random.chance(2);
      return [
        {
          key,
          ...(value === '' ? {} : { value }),
          ...(random.chance(5)
            ? {}
            : {
                rate_limit: {
                  ...(unlimited
                    ? { unlimited, ...(random.chance(3) ? { unit: 'nonsense' } : {}) }
                    : { unit: random.one(UNITS), requests_per_unit: random.one([0, 1, 2, 5, 9, 30, 1000]) }),
                  ...(name === '' ? {} : { name }),
                  ...(random.chance(6)
                    ? { replaces: [{ name: random.one(['one', 'two', 'three'].filter((other) => other !== name)) }] }
                    : {}),
                },
              }),
          ...(random.chance(8) ? { shadow_mode: true } : {}),
          ...(random.chance(8) ? { quota_mode: true } : {}),
          ...(isDetailed ? { detailed_metric: true } : {}),
          ...(hasValueInMetric ? { value_to_metric: true } : {}),
          ...(hasStar && random.chance(2) ? { share_threshold: true } : {}),
          ...(hasMetadata
            ? {
                metadata: {
                  shared: id,
                  [`own${id}`]: { list: [1, { x: id }], text: 'é' },
                  ...(random.chance(2) ? { other: [id] } : {}),
                },
              }
            : {}),
          ...(depth < 2 && random.chance(3) ? { descriptors: descriptors(random, depth + 1, ids) } : {}),
        },
      ];
    })
    .flat();
}

export function makeWorld(random: Random): World {
  const ids = { next: 1 };
  const merge = random.chance(3);
  const files: Record<string, string> = {
    'shop.yaml': JSON.stringify({ domain: 'shop', descriptors: descriptors(random, 0, ids) }),
  };
  if (random.chance(2))
    files['other.json'] = JSON.stringify({ domain: 'other', descriptors: descriptors(random, 0, ids) });
  if (merge)
    files['more.yaml'] = JSON.stringify({
      domain: 'shop',
      descriptors: [{ key: 'merged', rate_limit: { unit: 'day', requests_per_unit: 3 } }],
    });
  const flag = (name: string, times: number): Record<string, string> =>
    random.chance(times) ? { [name]: 'true' } : {};
  return {
    files,
    settings: {
      ...(merge ? { MERGE_DOMAIN_CONFIG: 'true' } : {}),
      ...(random.chance(3) ? { LOCAL_CACHE_SIZE_IN_BYTES: '1000000' } : {}),
      ...(random.chance(3) ? { CACHE_KEY_PREFIX: 'p:' } : {}),
      ...(random.chance(3) ? { NEAR_LIMIT_RATIO: random.one(['0.5', '1', '0', '0.33']) } : {}),
      ...flag('STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT', 3),
      ...flag('LIMIT_RESPONSE_HEADERS_ENABLED', 2),
      ...flag('RESPONSE_DYNAMIC_METADATA', 2),
      ...flag('SHADOW_MODE', 6),
      ...flag('QUOTA_MODE', 6),
      ...flag('HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED', 4),
      ...(random.chance(5) ? { LIMIT_LIMIT_HEADER: 'x-limit', LIMIT_RESET_HEADER: 'x-reset' } : {}),
    },
  };
}

export const makeRequest = (random: Random): Request => ({
  domain: random.one(['shop', 'shop', 'shop', 'shop', 'shop', 'other', 'nowhere', random.chance(4) ? '' : 'shop']),
  hitsAddend: random.one([0, 0, 0, 0, 1, 2, 7, 4_294_967_295]),
  descriptors: random.list([1, 1, 1, 2, 2, 3, random.chance(4) ? 0 : 5], () => ({
    entries: random.list([1, 1, 1, 2, 2, 3, random.chance(6) ? 0 : 1], () => ({
      key: random.one([...KEYS, 'users', 'pooh', 'merged', 'nothing']),
      value: random.one(VALUES),
    })),
    ...(random.chance(14)
      ? { limit: { requestsPerUnit: random.one([0, 3, 4_294_967_295]), unit: random.one([3, 4, 5, 6]) } }
      : {}),
    ...(random.chance(7) ? { hitsAddend: BigInt(random.one([0, 0, 1, 3, 1_000_000])) } : {}),
  })),
});
