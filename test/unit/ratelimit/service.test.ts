/** The answers of envoyproxy/ratelimit, with the rule of its source; counted in memory by the test's clock. */
import { describe, expect, test } from 'vitest';
import { Code, type Descriptor, type RateLimitReply, ServiceError, Unit } from '../../../src/ratelimit/call.ts';
import { readConfigs } from '../../../src/ratelimit/config/read.ts';
import { LocalCache } from '../../../src/ratelimit/charge/local-cache.ts';
import { memoryPool } from '../../../src/ratelimit/charge/memory-pool.ts';
import { MemoryCounts } from '../counting/window-counts.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import type { Pool } from '../../../src/ratelimit/charge/store.ts';
import type { ServiceSettings } from '../../../src/ratelimit/serve/service-settings.ts';
import { rateLimitService } from '../../../src/ratelimit/serve/service.ts';
import { domainsOf, REFERENCE_SETTINGS } from './reference-settings.ts';

const NOW_S = 1_700_000_000;

interface Entries {
  readonly entries: readonly (readonly [string, string])[];
  readonly hits?: number;
  readonly override?: Descriptor['override'];
}

function serving(descriptors: string, settings: Partial<ServiceSettings> = {}, localCache?: LocalCache) {
  const domains = domainsOf(descriptors);
  const clock = { nowS: NOW_S };
  const store = new MemoryCounts({ maxKeys: 20_000, nowMs: () => clock.nowS * 1000 });
  const { pool } = store;
  const metrics = new RatelimitMetrics();
  const service = rateLimitService({
    domains: () => domains,
    poolOf: () => pool,
    local: pool,
    metrics,
    nowMs: () => clock.nowS * 1000,
    settings: { ...REFERENCE_SETTINGS, ...settings },
    localCache,
  });
  const ask = (descriptor: Entries | readonly Entries[], { domain = 'd', hits = 0 } = {}): RateLimitReply => {
    const asked = (Array.isArray(descriptor) ? descriptor : [descriptor]) as readonly Entries[];
    const reply = service.shouldRateLimit({
      domain,
      hits,
      descriptors: asked.map((one) => ({ hits: undefined, override: undefined, ...one })),
    });
    if (reply instanceof Promise) throw new Error('memory waits for nothing');
    return reply;
  };
  const remaining = (descriptor: Entries | readonly Entries[], options?: { hits?: number }): (number | 'over')[] =>
    ask(descriptor, options).statuses.map(({ code, remaining: left }) => (code === Code.OVER_LIMIT ? 'over' : left));
  return { ask, remaining, store, metrics, clock };
}
const user = (value: string, rest: Partial<Entries> = {}): Entries => ({ entries: [['user', value]], ...rest });

describe('the walk to a limit', () => {
  const config = `
- key: user
  value: ann
  rate_limit: { unit: day, requests_per_unit: 1 }
- key: user
  value: a*
  rate_limit: { unit: day, requests_per_unit: 2 }
- key: user
  value: "*n"
  rate_limit: { unit: day, requests_per_unit: 3 }
- key: user
  rate_limit: { unit: day, requests_per_unit: 4 }
- key: path
  value: /only/with
  descriptors:
    - key: user
      rate_limit: { unit: day, requests_per_unit: 5 }
- key: path
  rate_limit: { unit: day, requests_per_unit: 6 }
- key: x*z
  rate_limit: { unit: day, requests_per_unit: 7 }
- key: a_b
  rate_limit: { unit: day, requests_per_unit: 8 }
- key: mid
  value: a*b*c
  rate_limit: { unit: day, requests_per_unit: 9 }
`;
  test.each([
    ['the exact value first', [['user', 'ann']], 1],
    ['else the first star of the file', [['user', 'abn']], 2],
    ['the other one', [['user', 'ben']], 3],
    ['else the bare key', [['user', 'bob']], 4],
    [
      'with an entry below',
      [
        ['path', '/only/with'],
        ['user', 'x'],
      ],
      5,
    ],
    ['a match without a limit hides the default', [['path', '/only/with']], undefined],
    [
      'a request that is deeper than the rule',
      [
        ['user', 'ann'],
        ['user', 'ann'],
      ],
      undefined,
    ],
    ['stars in keys', [['xyz', ''], []].slice(0, 1), undefined],
    ['a star in a key spans the value', [['xy', 'z']], 7],
    ['a key with _ is a key and a value', [['a', 'b']], 8],
    ['stars in the middle', [['mid', 'a-b-c']], 9],
    ['and not where the end is missing', [['mid', 'a-b-c-d']], undefined],
    ['parts do not overlap', [['mid', 'ac']], undefined],
    ['nothing', [['nope', 'x']], undefined],
  ])('%s', (_name, entries, limit) => {
    const { ask } = serving(config);
    expect(ask({ entries: entries as [string, string][] }).statuses[0]?.currentLimit?.requestsPerUnit).toBe(limit);
  });

  test('an unknown domain and no limit are OK, and the former is counted', () => {
    const { ask, metrics } = serving(config);
    expect(ask(user('ann'), { domain: 'other' })).toMatchObject({
      overallCode: Code.OK,
      statuses: [{ code: Code.OK, currentLimit: undefined, remaining: 0, resetS: undefined }],
    });
    expect([...metrics.counters()]).toContainEqual(['ratelimit.service.rate_limit.other.domain_not_found', 1]);
  });
});

describe('counting', () => {
  const TEN = '- key: user\n  rate_limit: { unit: minute, requests_per_unit: 10 }\n';

  test('admits up to the limit, until the window ends', () => {
    const { remaining, ask, clock } = serving(TEN);
    expect(Array.from({ length: 12 }, () => remaining(user('a'))[0])).toEqual([
      9,
      8,
      7,
      6,
      5,
      4,
      3,
      2,
      1,
      0,
      'over',
      'over',
    ]);
    expect(ask(user('a')).statuses[0]).toEqual({
      code: Code.OVER_LIMIT,
      currentLimit: { requestsPerUnit: 10, unit: Unit.MINUTE, name: '' },
      remaining: 0,
      resetS: 60 - (NOW_S % 60),
    });
    clock.nowS += 60 - (NOW_S % 60);
    expect(remaining(user('a'))).toEqual([9]);
  });

  test('takes hits of the request, of the descriptor, or 0 for a look', () => {
    const { remaining } = serving(TEN);
    expect(remaining(user('a'), { hits: 3 })).toEqual([7]);
    expect(remaining(user('a', { hits: 2 }), { hits: 3 })).toEqual([5]);
    expect(remaining(user('a', { hits: 0 }), { hits: 3 })).toEqual([5]);
    expect(remaining(user('a', { hits: 6 }))).toEqual(['over']);
    expect(remaining(user('a', { hits: 0 }))).toEqual(['over']);
  });

  test('each descriptor is charged, even if another is over', () => {
    const { remaining } = serving(TEN);
    remaining(user('a'), { hits: 10 });
    expect(remaining([user('a'), user('b')])).toEqual(['over', 9]);
    expect(remaining(user('b'))).toEqual([8]);
  });

  test('uses the key names of the reference', () => {
    const { ask, store } = serving(
      '- key: user\n  rate_limit: { unit: minute, requests_per_unit: 10 }\n- key: f\n  value: img/*\n  share_threshold: true\n  rate_limit: { unit: second, requests_per_unit: 1 }\n',
      { keyPrefix: 'p:' },
    );
    const windowS = NOW_S - (NOW_S % 60);
    ask([user('a'), { entries: [['f', 'img/1']] }]);
    expect(store.look([`p:d_user_a_${windowS}`, `p:d_f_img/*_${NOW_S}`])).toEqual([1, 1]);
  });

  test('values of a star share a counter with share_threshold only', () => {
    const { remaining } = serving(
      '- key: f\n  value: img/*\n  share_threshold: true\n  rate_limit: { unit: day, requests_per_unit: 5 }\n- key: f\n  value: js/*\n  rate_limit: { unit: day, requests_per_unit: 5 }\n',
    );
    expect(['img/1', 'img/2', 'js/1', 'js/2'].map((value) => remaining({ entries: [['f', value]] })[0])).toEqual([
      4, 3, 4, 4,
    ]);
  });

  test("a limit in the request replaces the file's, without its shadow", () => {
    const { remaining, ask } = serving(
      '- key: user\n  shadow_mode: true\n  rate_limit: { unit: day, requests_per_unit: 1 }\n',
    );
    const override = { requestsPerUnit: 2, unit: Unit.HOUR };
    expect(Array.from({ length: 3 }, () => remaining(user('a', { override }))[0])).toEqual([1, 0, 'over']);
    expect(ask({ entries: [['none', 'x']], override }).statuses[0]?.currentLimit).toEqual({
      requestsPerUnit: 2,
      unit: Unit.HOUR,
      name: '',
    });
    expect(ask({ entries: [['none', 'x']], override }, { domain: 'other' }).statuses[0]?.currentLimit).toBeUndefined();
  });

  test('STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT charges the limit that is over, not the others', () => {
    const { remaining } = serving(TEN, { charging: 'look first' });
    remaining(user('a'), { hits: 10 });
    expect(remaining([user('a'), user('b')])).toEqual(['over', 10]);
    expect(remaining(user('b'))).toEqual([9]);
  });

  test('all or none: a refused request is charged to no limit', () => {
    const { remaining } = serving(TEN, { charging: 'all or none', keyStyle: 'safe' });
    expect(remaining(user('a'), { hits: 9 })).toEqual([1]);
    expect(remaining(user('a'), { hits: 2 })).toEqual(['over']);
    expect(remaining([user('a', { hits: 2 }), user('b')])).toEqual(['over', 9]);
    expect(remaining([user('a'), user('b')])).toEqual([0, 9]);
  });

  test('safe names are unambiguous', () => {
    const config =
      '- key: a_b\n  rate_limit: { unit: day, requests_per_unit: 3 }\n- key: a\n  rate_limit: { unit: day, requests_per_unit: 3 }\n';
    const asked: Entries[] = [{ entries: [['a_b', 'c']] }, { entries: [['a', 'b_c']] }];
    expect(serving(config).remaining(asked)).toEqual([2, 1]);
    expect(serving(config, { keyStyle: 'safe' }).remaining(asked)).toEqual([2, 2]);
  });

  test('the local cache refuses without asking the store', () => {
    const { remaining, metrics, store } = serving(TEN, {}, new LocalCache(10_000));
    remaining(user('a'), { hits: 11 });
    const key = `d_user_a_${NOW_S - (NOW_S % 60)}`;
    expect(store.look([key])).toEqual([11]);
    expect(remaining(user('a'))).toEqual(['over']);
    expect(store.look([key])).toEqual([11]);
    expect(metrics.rule('d.user')).toMatchObject({
      total_hits: 12,
      over_limit: 2,
      over_limit_with_local_cache: 1,
      near_limit: 2,
    });
  });
});

describe('extensions of the reference', () => {
  const at = (text: string): number => Date.parse(text) / 1000;

  test('per is any period', () => {
    const { remaining, ask, clock } = serving(
      '- key: user\n  rate_limit: { requests_per_unit: 2, sluice: { per: 15m } }\n',
    );
    clock.nowS = at('2026-03-01T10:14:50Z');
    expect([remaining(user('a')), remaining(user('a')), remaining(user('a'))]).toEqual([[1], [0], ['over']]);
    expect(ask(user('a')).statuses[0]).toMatchObject({
      resetS: 10,
      currentLimit: { requestsPerUnit: 2, unit: undefined },
    });
    clock.nowS += 10;
    expect(remaining(user('a'))).toEqual([1]);
  });

  test.each([
    ['month', 'Europe/Amsterdam', '2026-03-15T12:00:00Z', '2026-03-31T22:00:00Z'], // summer time has begun by then
    ['month', 'UTC', '2026-02-28T23:59:59Z', '2026-03-01T00:00:00Z'],
    ['day', 'America/New_York', '2026-11-01T04:30:00Z', '2026-11-02T05:00:00Z'], // a day of 25 hours
    ['week', 'UTC', '2026-11-25T00:00:00Z', '2026-11-30T00:00:00Z'], // Monday
    ['year', 'Asia/Tokyo', '2026-12-31T14:59:59Z', '2026-12-31T15:00:00Z'],
  ])('a %s of %s', (per, zone, now, end) => {
    const { ask, remaining, clock } = serving(
      `- key: user\n  rate_limit: { requests_per_unit: 1, sluice: { per: ${per}, zone: ${zone} } }\n`,
    );
    clock.nowS = at(now);
    expect(remaining(user('a'))).toEqual([0]);
    expect(ask(user('a')).statuses[0]).toMatchObject({ code: Code.OVER_LIMIT, resetS: at(end) - at(now) });
    clock.nowS = at(end);
    expect(remaining(user('a'))).toEqual([0]);
  });

  test('sliding counts the part of the previous window that lies within a period of now', async () => {
    const config =
      '- key: user\n  rate_limit: { unit: minute, requests_per_unit: 10, sluice: { algorithm: sliding } }\n';
    const { domains } = readConfigs(
      [{ file: 'f', text: `domain: d\ndescriptors:\n${config.replaceAll(/^/gm, '  ')}` }],
      { mergeDomains: false },
    );
    const clock = { nowS: NOW_S - (NOW_S % 60) };
    const pool = memoryPool({ maxKeys: 1000, nowMs: () => clock.nowS * 1000 });
    const service = rateLimitService({
      domains: () => domains,
      poolOf: () => pool,
      local: pool,
      metrics: new RatelimitMetrics(),
      nowMs: () => clock.nowS * 1000,
      settings: REFERENCE_SETTINGS,
      localCache: undefined,
    });
    const left = async (hits: number, who = 'a'): Promise<number | 'over'> => {
      const {
        statuses: [status],
      } = await service.shouldRateLimit({
        domain: 'd',
        hits: 0,
        descriptors: [{ entries: [['user', who]], hits, override: undefined }],
      });
      return status?.code === Code.OVER_LIMIT ? 'over' : (status?.remaining ?? -1);
    };
    expect(await left(10)).toBe(0);
    for (const who of ['b', 'c', 'd']) expect(await left(10, who)).toBe(0);
    clock.nowS += 60;
    for (const who of ['b', 'c', 'd']) expect(await left(1, who)).toBe('over'); // of each, whatever else begins anew
    expect(await left(1)).toBe('over'); // fixed windows would give it all again
    clock.nowS += 30;
    expect(await left(0)).toBe(4); // 10 - 10 * 1/2, and the hit that was refused is counted, as the reference counts
    clock.nowS += 29;
    expect(await left(0)).toBe(8);
    clock.nowS += 31;
    expect(await left(0)).toBe(9); // 10 - 1 * 1/2, in whole hits
  });

  test('headers of the IETF draft, and Retry-After', () => {
    const { ask } = serving(
      '- key: user\n  rate_limit: { unit: minute, requests_per_unit: 1, name: per-user }\n- key: path\n  rate_limit: { requests_per_unit: 5, sluice: { per: 10m } }\n- key: soft\n  shadow_mode: true\n  rate_limit: { unit: day, requests_per_unit: 0 }\n',
      { ietfHeaders: true },
    );
    const both: Entries[] = [user('a'), { entries: [['path', '/']] }, { entries: [['soft', 'x']] }];
    const [minuteS, tenS] = [60 - (NOW_S % 60), 600 - (NOW_S % 600)];
    expect(ask(both).headers).toEqual([
      ['ratelimit-policy', '"per-user";q=1;w=60, "d.path";q=5;w=600'],
      ['ratelimit', `"per-user";r=0;t=${minuteS}, "d.path";r=4;t=${tenS}`],
    ]);
    expect(ask(both).headers).toContainEqual(['Retry-After', String(minuteS)]);
    expect(ask({ entries: [['nope', 'x']] }).headers).toEqual([]);
  });
});

describe('the answer', () => {
  const config = `
- key: soft
  shadow_mode: true
  rate_limit: { unit: day, requests_per_unit: 0 }
- key: hard
  rate_limit: { unit: day, requests_per_unit: 0 }
- key: q1
  quota_mode: true
  rate_limit: { unit: day, requests_per_unit: 0 }
- key: q2
  quota_mode: true
  rate_limit: { unit: day, requests_per_unit: 1 }
- key: free
  rate_limit: { unlimited: true }
- key: base
  rate_limit: { unit: day, requests_per_unit: 0, name: base }
- key: better
  rate_limit: { unit: day, requests_per_unit: 9, replaces: [{ name: base }] }
`;
  const of = (...keys: string[]): Entries[] => keys.map((key) => ({ entries: [[key, 'x']] }));
  test.each([
    ['one that is over is enough', ['free', 'hard'], Code.OVER_LIMIT, [Code.OK, Code.OVER_LIMIT]],
    ['a shadow rule is never over', ['soft'], Code.OK, [Code.OK]],
    ['one quota of two is not', ['q1', 'q2'], Code.OK, [Code.OVER_LIMIT, Code.OK]],
    ['all quotas are', ['q1'], Code.OVER_LIMIT, [Code.OVER_LIMIT]],
    ['any other is, whatever quotas say', ['q2', 'hard'], Code.OVER_LIMIT, [Code.OK, Code.OVER_LIMIT]],
    ['a limit that is replaced does not count', ['base', 'better'], Code.OK, [Code.OK, Code.OK]],
    ['and does where nothing replaces it', ['base'], Code.OVER_LIMIT, [Code.OVER_LIMIT]],
  ])('%s', (_name, keys, overall, codes) => {
    const { overallCode, statuses } = serving(config).ask(of(...keys));
    expect([overallCode, statuses.map(({ code }) => code)]).toEqual([overall, codes]);
  });

  test('unlimited is the largest uint32', () => {
    expect(serving(config).ask(of('free')).statuses).toEqual([
      { code: Code.OK, currentLimit: undefined, remaining: 4_294_967_295, resetS: undefined },
    ]);
  });

  test('SHADOW_MODE admits every request, and the statuses show which limits are over', () => {
    const { ask, metrics } = serving(config, { shadowMode: true });
    expect(ask(of('hard'))).toMatchObject({ overallCode: Code.OK, statuses: [{ code: Code.OVER_LIMIT }] });
    expect(metrics.service.globalShadowMode).toBe(1);
  });

  test('QUOTA_MODE: a descriptor without a limit is a quota that is never used up', () => {
    const { ask } = serving(config, { quotaMode: true });
    expect(ask(of('hard')).overallCode).toBe(Code.OVER_LIMIT);
    expect(ask(of('hard', 'unknown')).overallCode).toBe(Code.OK);
    expect(ask(of('hard', 'free')).overallCode).toBe(Code.OVER_LIMIT);
  });

  test('headers show the least remaining, or a refusal', () => {
    const headers = { limit: 'L', remaining: 'R', reset: 'S' };
    const { ask } = serving(config, { headers });
    const resetS = String(86_400 - (NOW_S % 86_400));
    expect(ask(of('better', 'q2')).headers).toEqual([
      ['L', '1'],
      ['R', '0'],
      ['S', resetS],
    ]);
    expect(ask(of('hard', 'better')).headers).toEqual([
      ['L', '0'],
      ['R', '0'],
      ['S', resetS],
    ]);
    expect(ask(of('unknown', 'free')).headers).toEqual([]);
  });

  test('dynamic metadata merges that of the admitting rules, the first value wins, and no rule is changed', () => {
    const { ask } = serving(
      `
- key: a
  metadata: { who: a, deep: { x: 1 } }
  rate_limit: { unit: day, requests_per_unit: 9 }
- key: b
  metadata: { who: b, deep: { z: [2] } }
  rate_limit: { unit: day, requests_per_unit: 9 }
- key: c
  metadata: { c: true }
  rate_limit: { unit: day, requests_per_unit: 0 }
`,
      { dynamicMetadata: true },
    );
    const both = ask([
      ...of('a', 'b', 'c').slice(0, 2),
      { entries: [['c', 'x']], hits: 1, override: undefined },
    ]).dynamicMetadata;
    expect(both).toEqual({
      domain: 'd',
      descriptors: [{ entries: ['a=x'] }, { entries: ['b=x'] }, { entries: ['c=x'], hitsAddend: 1 }],
      metadata: { who: 'a', deep: { x: 1, z: [2] } },
    });
    expect(ask(of('a')).dynamicMetadata).toMatchObject({ metadata: { who: 'a', deep: { x: 1 } } });
    expect(ask(of('nope'), { hits: 2 }).dynamicMetadata).toEqual({
      domain: 'd',
      descriptors: [{ entries: ['nope=x'] }],
      hitsAddend: 2,
    });
  });
});

describe('metrics', () => {
  test('near_limit and over_limit split hits that cross them', () => {
    const { remaining, metrics } = serving('- key: user\n  rate_limit: { unit: day, requests_per_unit: 10 }\n');
    for (const hits of [7, 2, 3, 4]) remaining(user('a'), { hits });
    expect(metrics.rule('d.user')).toEqual({
      total_hits: 16,
      within_limit: 9,
      near_limit: 1 + 1,
      over_limit: 2 + 4,
      over_limit_with_local_cache: 0,
      shadow_mode: 0,
    });
  });

  test('names show the exact value, the key, the pattern or all values', () => {
    const { ask, metrics } = serving(`
- key: a
  value: v
  rate_limit: { unit: day, requests_per_unit: 1 }
- key: b
  value: x*
  rate_limit: { unit: day, requests_per_unit: 1 }
- key: c
  value_to_metric: true
  descriptors:
    - key: d
      rate_limit: { unit: day, requests_per_unit: 1 }
- key: e
  descriptors:
    - key: f
      detailed_metric: true
      rate_limit: { unit: day, requests_per_unit: 1 }
- key: g
  value: y*
  share_threshold: true
  value_to_metric: true
  rate_limit: { unit: day, requests_per_unit: 1 }
`);
    for (const entries of [
      [['a', 'v']],
      [['b', 'x1']],
      [
        ['c', '1'],
        ['d', '2'],
      ],
      [
        ['e', '10.0.0.1'],
        ['f', 'a:b|c'],
      ],
      [['g', 'y1']],
    ] as [string, string][][])
      ask({ entries });
    expect(
      [...metrics.counters()]
        .filter(([name, value]) => name.endsWith('total_hits') && value > 0)
        .map(([name]) => name.replace('ratelimit.service.rate_limit.', '')),
    ).toEqual([
      'd.a_v.total_hits',
      'd.b_x*.total_hits',
      'd.c_1.d.total_hits',
      'd.e_10_0_0_1.f_a_b_c.total_hits',
      'd.g_y*.total_hits',
    ]);
  });

  test('the number of names from callers is bounded', () => {
    const { ask, metrics } = serving(
      '- key: user\n  value_to_metric: true\n  rate_limit: { unit: day, requests_per_unit: 1 }\n',
    );
    for (let n = 0; n < 10_100; n++) ask(user(`u${n}`));
    const names = [...metrics.counters()].filter(([name]) => name.endsWith('total_hits'));
    expect(names.length).toBeLessThanOrEqual(10_001);
    expect(names.find(([name]) => name.endsWith('.d.other.total_hits'))?.[1]).toBeGreaterThan(90);
  });
});

describe('an invalid call', () => {
  test.each([
    ['no domain', { domain: '', hits: 0, descriptors: [] }, 'rate limit domain must not be empty'],
    ['no descriptors', { domain: 'd', hits: 0, descriptors: [] }, 'rate limit descriptor list must not be empty'],
    [
      'no files',
      { domain: 'd', hits: 0, descriptors: [{ entries: [], hits: undefined, override: undefined }] },
      'no rate limit configuration loaded',
    ],
  ])('%s', (_name, call, message) => {
    const metrics = new RatelimitMetrics();
    const pool = memoryPool({ maxKeys: 1, nowMs: () => 0 });
    const service = rateLimitService({
      domains: () => undefined,
      poolOf: () => pool,
      local: pool,
      metrics,
      nowMs: () => 0,
      settings: REFERENCE_SETTINGS,
      localCache: undefined,
    });
    expect(() => service.shouldRateLimit(call)).toThrow(new ServiceError('service_error', message));
    expect(metrics.service.serviceError).toBe(1);
  });
});

describe('a store that is away', () => {
  const config = `
- key: user
  rate_limit: { unit: day, requests_per_unit: 10, sluice: { outage: WORD } }
- key: plain
  rate_limit: { unit: day, requests_per_unit: 10 }
`;
  const failing = (word: string, settings: Partial<ServiceSettings> = {}) => {
    const { domains, findings } = readConfigs(
      [{ file: 'f', text: `domain: d\ndescriptors:\n${config.replace('WORD', word).replaceAll(/^/gm, '  ')}` }],
      { mergeDomains: false },
    );
    expect(findings).toEqual([]);
    const metrics = new RatelimitMetrics();
    const pool = memoryPool({ maxKeys: 1, nowMs: () => 0 });
    const local = memoryPool({ maxKeys: 100, nowMs: () => NOW_S * 1000 });
    const away: Pool = {
      charge: async () => Promise.reject(new ServiceError('redis_error', 'away')),
      reset: (asks) => pool.reset(asks),
      look: (asks) => pool.look(asks),
    };
    const localCache = new LocalCache(1000);
    const service = rateLimitService({
      domains: () => domains,
      poolOf: () => away,
      local: local,
      metrics,
      nowMs: () => NOW_S * 1000,
      settings: { ...REFERENCE_SETTINGS, ...settings },
      localCache,
    });
    const ask = async (keys: readonly string[], hits = 1): Promise<(number | 'over')[]> => {
      const { statuses } = await service.shouldRateLimit({
        domain: 'd',
        hits,
        descriptors: keys.map((key) => ({ entries: [[key, 'x']], hits: undefined, override: undefined })),
      });
      return statuses.map(({ code, remaining }) => (code === Code.OVER_LIMIT ? 'over' : remaining));
    };
    return { ask, metrics, localCache };
  };

  test('is an error by default, as in the reference', async () => {
    const { ask, metrics } = failing('open');
    await expect(ask(['user', 'plain'])).rejects.toThrow('away');
    await expect(ask(['plain'])).rejects.toThrow('away');
    expect(metrics.service.redisError).toBe(2);
  });

  test('open admits, closed refuses, and neither is cached', async () => {
    expect(await failing('open').ask(['user'], 50)).toEqual([0]);
    expect(await failing('open').ask(['user'])).toEqual([9]);
    const closed = failing('closed');
    expect(await closed.ask(['user'])).toEqual(['over']);
    expect([closed.localCache.size, closed.metrics.outages.closed]).toEqual([0, 1]);
  });

  test('local counts in this process, up to a share of the limit', async () => {
    const { ask } = failing('local', { replicas: 3 });
    expect([await ask(['user']), await ask(['user'], 2), await ask(['user']), await ask(['user'])]).toEqual([
      [3],
      [1],
      [0],
      ['over'],
    ]);
  });

  test('SLUICE_OUTAGE is the default of all limits', async () => {
    expect(await failing('closed', { outage: 'open' }).ask(['user', 'plain'])).toEqual(['over', 9]);
  });
});

describe('memory', () => {
  test('is bounded, and evicts ended windows first', () => {
    const clock = { nowMs: 0 };
    const store = new MemoryCounts({ maxKeys: 100, nowMs: () => clock.nowMs });
    const { pool } = store;
    const add = (key: string, endsAtS: number): void =>
      void store.add([{ key, hits: 1, limit: 5, keptS: 10, endsAtS, usedUntilS: endsAtS }]);
    for (let n = 0; n < 90; n++) add(`old ${n}`, 10);
    clock.nowMs = 11_000;
    for (let n = 0; n < 90; n++) add(`new ${n}`, 20);
    expect([pool.size, store.evicted]).toEqual([90, 0]);
    for (let n = 0; n < 10; n++) add(`more ${n}`, 20);
    for (let n = 10; n < 1000; n++)
      expect(() => add(`more ${n}`, 20)).toThrow('no room for another counter: 100 are in use (SLUICE_MAX_KEYS)');
    expect([pool.size, store.evicted]).toEqual([100, 0]);
  });
});
