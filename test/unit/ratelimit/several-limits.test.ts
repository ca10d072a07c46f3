/** `sluice: { also: [...] }`: several limits of one descriptor, charged all or none; counted in memory by the test's clock. */
import { describe, expect, test } from 'vitest';
import type { ServiceSettings } from '../../../src/ratelimit/serve/service-settings.ts';
import { Code, type RateLimitReply, Unit } from '../../../src/ratelimit/call.ts';
import { readConfigs } from '../../../src/ratelimit/config/read.ts';
import { limitInspector } from '../../../src/ratelimit/inspect/inspector.ts';
import { LocalCache } from '../../../src/ratelimit/charge/local-cache.ts';
import type { Pool } from '../../../src/ratelimit/charge/store.ts';
import { memoryPool } from '../../../src/ratelimit/charge/memory-pool.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { configDump } from '../../../src/ratelimit/config/config-dump.ts';
import { rateLimitService } from '../../../src/ratelimit/serve/service.ts';
import { domainsOf, REFERENCE_SETTINGS } from './reference-settings.ts';

const NOW_S = 1_700_000_000; // 20 s into a minute, 800 s into an hour
const TWO =
  '{ key: user, rate_limit: { unit: minute, requests_per_unit: 5, sluice: { also: [{ unit: hour, requests_per_unit: 7 }] } } }';

async function serving(descriptor: string, settings: Partial<ServiceSettings> = {}, localCache?: LocalCache) {
  const domains = domainsOf(`[${descriptor}]`);
  const clock = { nowS: NOW_S };
  const nowMs = (): number => clock.nowS * 1000;
  const [others, perSecond] = [memoryPool({ maxKeys: 1000, nowMs }), memoryPool({ maxKeys: 1000, nowMs })];
  const poolOf = (unit: Unit | undefined): Pool => (unit === Unit.SECOND ? perSecond : others);
  const metrics = new RatelimitMetrics();
  const service = rateLimitService({
    domains: () => domains,
    poolOf,
    local: others,
    metrics,
    nowMs,
    settings: { ...REFERENCE_SETTINGS, ...settings },
    localCache,
  });
  const inspector = limitInspector({
    domains: () => domains,
    poolOf,
    replica: '',
    nowMs,
    settings: { ...REFERENCE_SETTINGS, ...settings },
    forget: () => {},
  });
  const ask = async (hits = 1, value = 'ann'): Promise<RateLimitReply> =>
    service.shouldRateLimit({
      domain: 'd',
      hits,
      descriptors: [{ entries: [['user', value]], hits: undefined, override: undefined }],
    });
  const left = async (hits?: number): Promise<string> => {
    const [status] = (await ask(hits)).statuses;
    return `${status?.code === Code.OVER_LIMIT ? 'over' : status?.remaining} of ${status?.currentLimit?.requestsPerUnit}, ${status?.resetS} s`;
  };
  return {
    ask,
    left,
    clock,
    metrics,
    domains,
    inspect: () => inspector.inspect({ domain: 'd', entries: [['user', 'ann']] }),
    reset: () => inspector.reset({ domain: 'd', entries: [['user', 'ann']] }),
  };
}

describe('several limits of one descriptor', () => {
  test.each(['compatible', 'safe'] as const)(
    '%s keys: the tightest is told; what one refuses is charged to none',
    async (keyStyle) => {
      const { left, clock } = await serving(TWO, { keyStyle });
      expect([await left(4), await left(1), await left(1)]).toEqual([
        '1 of 5, 40 s',
        '0 of 5, 40 s',
        'over of 5, 40 s',
      ]);
      clock.nowS += 40;
      expect([await left(1), await left(2), await left(1), await left(1)], 'the hour had 5, not 6').toEqual([
        '1 of 7, 2760 s',
        'over of 7, 2760 s',
        '0 of 7, 2760 s',
        'over of 7, 2760 s',
      ]);
    },
  );

  test('where both refuse, the status is that of the longer refusal', async () => {
    const { left } = await serving(TWO);
    expect(await left(9)).toBe('over of 7, 2800 s');
  });

  test('windows that begin at the same second have separate counters', async () => {
    const { left, clock } = await serving(TWO);
    clock.nowS = 1_700_002_800; // a full hour
    expect([await left(3), await left(1)]).toEqual(['2 of 5, 60 s', '1 of 5, 60 s']);
  });

  test.each(['sliding', 'gcra', 'log'])('a further limit by %s: the same', async (algorithm) => {
    const { ask } = await serving(
      `{ key: user, rate_limit: { unit: minute, requests_per_unit: 5, sluice: { also: [{ requests_per_unit: 3, sluice: { algorithm: ${algorithm}, per: 1h } }] } } }`,
    );
    const codes = [];
    for (let n = 0; n < 8; n++) codes.push((await ask()).overallCode);
    expect(codes.filter((code) => code === Code.OK)).toHaveLength(3);
    expect((await ask(1, 'bob')).statuses[0]?.remaining).toBe(2);
  });

  test('the charge of an algorithm is given back where a window refuses', async () => {
    const { left, clock } = await serving(
      '{ key: user, rate_limit: { unit: minute, requests_per_unit: 2, sluice: { also: [{ requests_per_unit: 5, sluice: { algorithm: log, per: 1h } }] } } }',
    );
    for (let n = 0; n < 6; n++) await left();
    clock.nowS += 40;
    expect([await left(), await left()]).toEqual(['1 of 2, 60 s', '0 of 2, 60 s']); // of 5, 4
  });

  test('with two stores, the charge of one is given back where the other refuses', async () => {
    const { left, inspect } = await serving(
      '{ key: user, rate_limit: { unit: second, requests_per_unit: 5, sluice: { also: [{ unit: hour, requests_per_unit: 2 }] } } }',
    );
    expect([await left(2), await left(1)]).toEqual(['0 of 2, 2800 s', 'over of 2, 2800 s']);
    expect(await inspect()).toMatchObject({ count: 2, also: [{ count: 2 }] });
  });

  test('limits of one descriptor are charged together, other descriptors each for itself, unless all or none', async () => {
    const descriptors = `${TWO}, { key: path, rate_limit: { unit: hour, requests_per_unit: 10 } }`;
    for (const [charging, remaining] of [
      ['always', 9],
      ['all or none', 10],
    ] as const) {
      const { domains } = await serving(descriptors);
      const pool = memoryPool({ maxKeys: 100, nowMs: () => NOW_S * 1000 });
      const service = rateLimitService({
        domains: () => domains,
        poolOf: () => pool,
        local: pool,
        metrics: new RatelimitMetrics(),
        nowMs: () => NOW_S * 1000,
        settings: { ...REFERENCE_SETTINGS, charging },
        localCache: undefined,
      });
      const ask = async (hits: number) =>
        service.shouldRateLimit({
          domain: 'd',
          hits: 0,
          descriptors: [
            { entries: [['user', 'ann']], hits: 6, override: undefined },
            { entries: [['path', '/']], hits, override: undefined },
          ],
        });
      await ask(1);
      expect((await ask(0)).statuses.map(({ code, remaining: left }) => [code, left])).toEqual([
        [Code.OVER_LIMIT, 0],
        [Code.OK, remaining],
      ]);
    }
  });

  test('in shadow mode each limit is counted, and none refuses', async () => {
    const { left } = await serving(TWO.replace('{ key: user,', '{ key: user, shadow_mode: true,'));
    expect((await left(9)).startsWith('0 of')).toBe(true);
  });

  test('a limit that is over in the local cache: none is charged', async () => {
    const { left, clock } = await serving(TWO, {}, new LocalCache(10_000));
    for (let n = 0; n < 9; n++) await left();
    clock.nowS += 40;
    expect([await left(1), await left(1), await left(1)]).toEqual([
      '1 of 7, 2760 s',
      '0 of 7, 2760 s',
      'over of 7, 2760 s',
    ]);
  });

  test('headers, metrics and pages show each limit', async () => {
    const { ask, metrics, domains, inspect, reset } = await serving(TWO, { ietfHeaders: true });
    const { headers } = await ask(2);
    expect(Object.fromEntries(headers)).toMatchObject({
      'ratelimit-policy': '"d.user";q=5;w=60, "d.user.hour";q=7;w=3600',
      ratelimit: '"d.user";r=3;t=40, "d.user.hour";r=5;t=2800',
    });
    expect(new Map(metrics.counters()).get('ratelimit.service.rate_limit.d.user.hour.total_hits')).toBe(2);
    expect(configDump(domains)).toBe(
      'd.user: unit=MINUTE requests_per_unit=5, shadow_mode: false, quota_mode: false\nd.user: unit=HOUR requests_per_unit=7, shadow_mode: false, quota_mode: false\n',
    );
    expect(await inspect()).toMatchObject({
      count: 2,
      remaining: 3,
      also: [{ count: 2, remaining: 5, counter: 'sluice:also:d_user_ann_3600_1699999200' }],
    });
    await reset();
    expect(await inspect()).toMatchObject({ count: 0, also: [{ count: 0 }] });
  });
});

test.each([
  [
    'no list',
    'unit: day, sluice: { also: { unit: hour } }',
    'also must be a list of further limits: [{ unit: hour, requests_per_unit: 100 }]',
  ],
  [
    'no map',
    'unit: day, sluice: { also: [hour] }',
    'config error, yaml file contains list of type other than map: hour',
  ],
  [
    'a period twice',
    'unit: minute, sluice: { also: [{ sluice: { per: 60s } }] }',
    'the limits of a descriptor must have different periods, but this one has the period of another',
  ],
  [
    'leases',
    'unit: day, sluice: { also: [{ unit: hour, sluice: { algorithm: concurrency, per: 30s } }] }',
    'a further limit cannot have algorithm: concurrency',
  ],
  [
    'more of its own',
    'unit: day, sluice: { also: [{ unit: hour, sluice: { also: [] } }] }',
    'a further limit cannot have also',
  ],
  [
    'of an unlimited one',
    'unlimited: true, sluice: { also: [{ unit: hour }] }',
    'also cannot be combined with unlimited',
  ],
  ['an unknown key', 'unit: day, sluice: { also: [{ unit: hour, shadow_mode: true }] }', /shadow_mode/],
])('an error in also is reported at its place: %s', (_name, limit, expected) => {
  const { findings } = readConfigs(
    [{ file: 'f', text: `domain: d\ndescriptors:\n  - key: k\n    rate_limit: { ${limit} }\n` }],
    { mergeDomains: false },
  );
  const [finding] = findings;
  expect(finding?.message).toMatch(
    expected instanceof RegExp ? expected : new RegExp(expected.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)),
  );
  expect([finding?.position.line, (finding?.position.column ?? 0) > 20]).toEqual([4, true]);
});
