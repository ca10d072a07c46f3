/** gcra, log and concurrency in files of envoyproxy/ratelimit, counted in memory by the test's clock. */
import { describe, expect, test } from 'vitest';
import type { Pool } from '../../../src/ratelimit/charge/store.ts';
import type { ServiceSettings } from '../../../src/ratelimit/serve/service-settings.ts';
import { Code, type Descriptor, type RateLimitReply, ServiceError, Unit } from '../../../src/ratelimit/call.ts';
import { limitInspector } from '../../../src/ratelimit/inspect/inspector.ts';
import { LocalCache } from '../../../src/ratelimit/charge/local-cache.ts';
import { memoryPool } from '../../../src/ratelimit/charge/memory-pool.ts';
import { RatelimitMetrics } from '../../../src/ratelimit/metrics/metrics.ts';
import { configDump } from '../../../src/ratelimit/config/config-dump.ts';
import { rateLimitService } from '../../../src/ratelimit/serve/service.ts';
import { domainsOf, REFERENCE_SETTINGS } from './reference-settings.ts';

const NOW_S = 1_700_000_000;

type Entries = readonly (readonly [key: string, value: string])[];
interface Asked {
  readonly entries: Entries;
  readonly hits?: number;
  readonly override?: Descriptor['override'];
}

async function serving(
  descriptors: string,
  settings: Partial<ServiceSettings> = {},
  localCache?: LocalCache,
  maxKeys = 1000,
) {
  const domains = domainsOf(descriptors);
  const clock = { nowMs: NOW_S * 1000 };
  const nowMs = (): number => clock.nowMs;
  const pool = memoryPool({ maxKeys, nowMs });
  const local = memoryPool({ maxKeys: 1000, nowMs });
  const store = { isAway: false, isAwayPerSecond: false };
  /** Windows are counted, whatever else is away. */
  const away: Pool = {
    reset: (asks) => pool.reset(asks),
    look: (asks) => pool.look(asks),
    charge: (asks) => {
      if (asks.every(({ bucket }) => bucket.algorithm === 'window')) return pool.charge(asks);
      return Promise.reject(new ServiceError('redis_error', 'away'));
    },
  };
  const poolOf = (unit: Unit | undefined): Pool =>
    store.isAway || (store.isAwayPerSecond && unit === Unit.SECOND) ? away : pool;
  const metrics = new RatelimitMetrics();
  const service = rateLimitService({
    domains: () => domains,
    poolOf,
    local: local,
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
    settings: REFERENCE_SETTINGS,
    forget: () => undefined,
  });
  const ask = async (...asked: readonly Asked[]): Promise<RateLimitReply> =>
    service.shouldRateLimit({
      domain: 'd',
      hits: 0,
      descriptors: asked.map((one) => ({ hits: undefined, override: undefined, ...one })),
    });
  const left = async (...asked: readonly Asked[]): Promise<(number | 'over')[]> =>
    (await ask(...asked)).statuses.map(({ code, remaining }) => (code === Code.OVER_LIMIT ? 'over' : remaining));
  return { ask, left, clock, metrics, domains, inspector, store };
}

const user = (value: string, rest: Partial<Asked> = {}): Asked => ({ entries: [['user', value]], ...rest });
const GCRA =
  '- key: user\n  rate_limit: { unit: minute, requests_per_unit: 60, sluice: { algorithm: gcra, burst: 3 } }\n';
const LOG = '- key: pay\n  rate_limit: { requests_per_unit: 2, sluice: { algorithm: log, per: 1h } }\n';
const LEASES =
  '- key: tenant\n  descriptors:\n    - key: request\n      rate_limit: { requests_per_unit: 2, sluice: { algorithm: concurrency, per: 30s } }\n';
const held = (tenant: string, request: string, rest: Partial<Asked> = {}): Asked => ({
  entries: [
    ['tenant', tenant],
    ['request', request],
  ],
  ...rest,
});
const done = (tenant: string, request: string): Asked => ({
  entries: [
    ['tenant', tenant],
    ['request', request],
    ['stream_done', 'yes'],
  ],
});

describe('gcra', () => {
  test('admits a burst, then one hit at a time, and says when it is full again or could pass', async () => {
    const { ask, left, clock } = await serving(GCRA);
    expect([await left(user('a')), await left(user('a')), await left(user('a')), await left(user('a'))]).toEqual([
      [2],
      [1],
      [0],
      ['over'],
    ]);
    expect((await ask(user('a'))).statuses[0]).toEqual({
      code: Code.OVER_LIMIT,
      currentLimit: { requestsPerUnit: 60, unit: Unit.MINUTE, name: '' },
      remaining: 0,
      resetS: 1,
    });
    clock.nowMs += 1000;
    expect(await left(user('a'))).toEqual([0]);
    clock.nowMs += 2500;
    expect((await ask(user('a'))).statuses[0]).toMatchObject({ remaining: 1, resetS: 2 }); // 1.5 s
    expect(await left(user('b'))).toEqual([2]);
  });

  test('the burst is the limit by default', async () => {
    const { left } = await serving(
      '- key: user\n  rate_limit: { unit: minute, requests_per_unit: 7, sluice: { algorithm: gcra } }\n',
    );
    expect(await left(user('a'))).toEqual([6]);
  });

  test('charges several hits, none, and refuses more than fit at all', async () => {
    const { left } = await serving(GCRA);
    expect(await left(user('a', { hits: 2 }))).toEqual([1]);
    expect(await left(user('a', { hits: 0 }))).toEqual([1]);
    expect(await left(user('a', { hits: 2 }))).toEqual(['over']);
    expect(await left(user('a', { hits: 1 }))).toEqual([0]);
    expect(await left(user('a', { hits: 0 }))).toEqual([0]);
  });
});

describe('log', () => {
  test('admits no more than the limit in any period, wherever it begins', async () => {
    const { ask, left, clock } = await serving(LOG);
    const pay: Asked = { entries: [['pay', 'x']] };
    expect(await left(pay)).toEqual([1]);
    clock.nowMs += 1_800_000;
    expect([await left(pay), await left(pay)]).toEqual([[0], ['over']]);
    expect((await ask(pay)).statuses[0]).toMatchObject({
      resetS: 1800,
      currentLimit: { requestsPerUnit: 2, unit: undefined },
    });
    clock.nowMs += 1_800_000;
    expect([await left(pay), await left(pay)]).toEqual([[0], ['over']]);
  });
});

describe('concurrency', () => {
  test('admits the limit at once for the entries before the last; the end of a stream frees a lease', async () => {
    const { left } = await serving(LEASES);
    expect([
      await left(held('t', '1')),
      await left(held('t', '2')),
      await left(held('t', '3')),
      await left(held('other', '3')),
    ]).toEqual([[1], [0], ['over'], [1]]);
    expect(await left(done('t', '3'))).toEqual([0]); // it had none
    expect(await left(held('t', '4'))).toEqual(['over']);
    expect(await left(done('t', '1'))).toEqual([1]);
    expect(await left(done('t', '1'))).toEqual([1]);
    expect([await left(held('t', '4')), await left(held('t', '5'))]).toEqual([[0], ['over']]);
  });

  test('a lease expires after its period', async () => {
    const { ask, left, clock } = await serving(LEASES);
    await left(held('t', '1'));
    clock.nowMs += 10_000;
    await left(held('t', '2'));
    expect((await ask(held('t', '3'))).statuses[0]).toMatchObject({ code: Code.OVER_LIMIT, resetS: 20 });
    clock.nowMs += 20_000;
    expect(await left(held('t', '3'))).toEqual([0]);
  });

  test('a holder keeps its lease, and is not charged again', async () => {
    const { left } = await serving(LEASES);
    expect([
      await left(held('t', '1')),
      await left(held('t', '1')),
      await left(held('t', '2')),
      await left(held('t', '1')),
    ]).toEqual([[1], [1], [0], [0]]);
  });

  test('a look takes no lease; a lease without a holder ends by its period alone', async () => {
    const { left, clock } = await serving(LEASES);
    expect(await left(held('t', '1', { hits: 0 }))).toEqual([2]);
    expect([
      await left(held('t', '')),
      await left(held('t', '')),
      await left(done('t', '')),
      await left(held('t', '')),
    ]).toEqual([[1], [0], [0], ['over']]);
    clock.nowMs += 30_000;
    expect(await left(held('t', ''))).toEqual([1]);
  });

  test('ended_by names the entry that ends a lease', async () => {
    const { left } = await serving(LEASES.replace('per: 30s', 'per: 30s, ended_by: over'));
    await left(held('t', '1'));
    expect(
      await left({
        entries: [
          ['tenant', 't'],
          ['request', '1'],
          ['over', ''],
        ],
      }),
    ).toEqual([2]);
  });

  test('two keys below one entry are counted apart', async () => {
    const { left } = await serving(
      `${LEASES}    - key: upload\n      rate_limit: { requests_per_unit: 2, sluice: { algorithm: concurrency, per: 30s } }\n`,
    );
    await left(held('t', '1'));
    expect(
      await left({
        entries: [
          ['tenant', 't'],
          ['upload', '1'],
        ],
      }),
    ).toEqual([1]);
  });

  test('share_threshold counts all tenants of a pattern together', async () => {
    const shared = (flag: boolean): string =>
      `- key: tenant\n  value: free-*\n  share_threshold: ${flag}\n  descriptors:\n    - key: request\n      rate_limit: { requests_per_unit: 2, sluice: { algorithm: concurrency, per: 30s } }\n`;
    const [one, each] = [await serving(shared(true)), await serving(shared(false))];
    expect([
      await one.left(held('free-a', '1')),
      await one.left(held('free-b', '2')),
      await one.left(held('free-c', '3')),
      await one.left(done('free-b', '2')),
    ]).toEqual([[1], [0], ['over'], [1]]);
    expect([await each.left(held('free-a', '1')), await each.left(held('free-b', '2'))]).toEqual([[1], [1]]);
  });

  test('the entry that ends a lease is not in /rlconfig, costs nothing and is in no metric', async () => {
    const { ask, domains, metrics } = await serving(LEASES);
    expect(configDump(domains)).toBe(
      'd.tenant.request: unit=UNKNOWN requests_per_unit=2, shadow_mode: false, quota_mode: false\n',
    );
    await ask(held('t', '1'));
    expect(await ask(done('t', '1'))).toMatchObject({
      overallCode: Code.OK,
      statuses: [{ code: Code.OK, remaining: 2, resetS: 0 }],
    });
    expect([...metrics.counters()].filter(([name, count]) => name.includes('.d.') && count > 0)).toEqual([
      ['ratelimit.service.rate_limit.d.tenant.request.total_hits', 1],
      ['ratelimit.service.rate_limit.d.tenant.request.within_limit', 1],
    ]);
  });
});

describe('non-window algorithms, as windows', () => {
  test('metrics: near, over, within, shadow', async () => {
    const { left, metrics } = await serving(
      '- key: user\n  rate_limit: { unit: hour, requests_per_unit: 10, sluice: { algorithm: log } }\n- key: soft\n  shadow_mode: true\n  rate_limit: { unit: hour, requests_per_unit: 1, sluice: { algorithm: gcra } }\n',
    );
    for (const hits of [7, 2, 3, 1]) await left(user('a', { hits }));
    expect(metrics.rule('d.user')).toEqual({
      total_hits: 13,
      within_limit: 10,
      near_limit: 2,
      over_limit: 3,
      over_limit_with_local_cache: 0,
      shadow_mode: 0,
    });
    const soft: Asked = { entries: [['soft', 'x']] };
    expect([await left(soft), await left(soft)]).toEqual([[0], [0]]);
    expect(metrics.rule('d.soft')).toMatchObject({ total_hits: 2, within_limit: 1, over_limit: 1, shadow_mode: 1 });
  });

  test('quotas refuse only together, and a replaced limit is not asked', async () => {
    const { ask, left } = await serving(
      `- key: q1\n  quota_mode: true\n  rate_limit: { unit: hour, requests_per_unit: 1, name: one, sluice: { algorithm: log } }\n- key: q2\n  quota_mode: true\n  rate_limit: { unit: hour, requests_per_unit: 2, sluice: { algorithm: gcra } }\n- key: better\n  rate_limit: { unit: hour, requests_per_unit: 9, replaces: [{ name: one }], sluice: { algorithm: gcra } }\n`,
    );
    const [q1, q2, better]: Asked[] = [
      { entries: [['q1', '']] },
      { entries: [['q2', '']] },
      { entries: [['better', '']] },
    ];
    const codes: Code[] = [];
    for (let n = 0; n < 3; n++) codes.push((await ask(q1 as Asked, q2 as Asked)).overallCode);
    expect(codes).toEqual([Code.OK, Code.OK, Code.OVER_LIMIT]);
    expect(await left(q1 as Asked, better as Asked)).toEqual([0, 8]);
  });

  test("a limit in the request replaces the file's, and counts by windows", async () => {
    const { left } = await serving(GCRA);
    expect(await left(user('a', { override: { requestsPerUnit: 10, unit: Unit.HOUR } }))).toEqual([9]);
    expect(await left(user('a'))).toEqual([2]);
  });

  test('the local cache is not used, since an algorithm may admit again at any time', async () => {
    const { left, clock } = await serving(GCRA, {}, new LocalCache(10_000));
    await left(user('a', { hits: 3 }));
    expect(await left(user('a'))).toEqual(['over']);
    clock.nowMs += 1000;
    expect(await left(user('a'))).toEqual([0]);
  });

  test('headers of the reference and of the IETF draft', async () => {
    const { ask } = await serving(GCRA + LEASES, {
      ietfHeaders: true,
      headers: { limit: 'L', remaining: 'R', reset: 'S' },
    });
    await ask(held('t', '1'), held('t', '2'));
    const { headers } = await ask(user('a'), held('t', '3'));
    expect(headers).toEqual([
      ['L', '2'],
      ['R', '0'],
      ['S', '30'],
      ['ratelimit-policy', '"d.user";q=60;w=60, "d.tenant.request";q=2;qu="concurrent-requests"'],
      ['ratelimit', '"d.user";r=2;t=1, "d.tenant.request";r=0;t=30'],
      ['Retry-After', '30'],
    ]);
  });

  test('can be explained, inspected and reset', async () => {
    const { left, inspector } = await serving(GCRA + LEASES);
    expect(inspector.explain({ domain: 'd', entries: [['user', 'a']] })).toMatchObject({
      counter: 'gcra d user_a_',
      resetS: undefined,
      limit: { algorithm: 'gcra', burst: 3, requestsPerUnit: 60 },
    });
    await left(user('a', { hits: 2 }));
    expect(await inspector.inspect({ domain: 'd', entries: [['user', 'a']] })).toMatchObject({
      count: 2,
      remaining: 1,
      resetS: 2,
    });
    await left(held('t', '1'));
    for (const entries of [held('t', '1').entries, held('t', '2').entries])
      expect(await inspector.inspect({ domain: 'd', entries })).toMatchObject({
        count: 1,
        remaining: 1,
        counter: 'concurrency d tenant_t_request',
      });
    expect(
      await inspector.inspect({ domain: 'd', entries: held('t', '2').entries, leases: { from: 0, count: 10 } }),
    ).toMatchObject({
      leaseCount: 1,
      leases: [{ id: '1', units: 1, heldMs: 0, endsInMs: 30_000 }],
    });
    expect(
      await inspector.inspect({ domain: 'd', entries: [['user', 'a']], leases: { from: 0, count: 10 } }),
    ).not.toHaveProperty('leases');
    expect(await inspector.reset({ domain: 'd', entries: [['user', 'a']] })).toMatchObject({ count: 2 });
    expect(await left(user('a'))).toEqual([2]);
    await inspector.reset({ domain: 'd', entries: held('t', '9').entries });
    expect(await inspector.inspect({ domain: 'd', entries: held('t', '1').entries })).toMatchObject({
      count: 0,
      remaining: 2,
    });
  });
});

describe.each(['all or none', 'look first'] as const)(
  'a request that is refused is charged to none of its limits: %s',
  (charging) => {
    const WINDOW = '- key: path\n  rate_limit: { unit: day, requests_per_unit: 2 }\n';
    const path = (hits: number): Asked => ({ entries: [['path', '/']], hits });

    test('an algorithm refuses: no window is charged', async () => {
      const { left } = await serving(GCRA + LOG + WINDOW, { charging });
      const pay: Asked = { entries: [['pay', 'x']] };
      await left(user('a', { hits: 3 }));
      expect((await left(pay, user('a'), path(1)))[1]).toBe('over');
      expect(await left({ ...pay, hits: 0 }, path(0))).toEqual([2, 2]);
    });

    test('a window refuses: the charge of the algorithm is given back', async () => {
      const { left } = await serving(GCRA + LOG + LEASES + WINDOW, { charging });
      const pay: Asked = { entries: [['pay', 'x']] };
      await left(path(2));
      const refused = await left(user('a', { hits: 2 }), pay, held('t', '1'), path(1));
      expect(refused[3]).toBe('over');
      expect(await left(user('a', { hits: 0 }), { ...pay, hits: 0 }, held('t', '1', { hits: 0 }))).toEqual([3, 2, 2]);
    });

    test('the local cache knows that a window is over: nothing is charged', async () => {
      const { left } = await serving(GCRA + WINDOW, { charging }, new LocalCache(10_000));
      await left(path(3));
      await left(path(3));
      expect((await left(user('a'), path(1)))[1]).toBe('over');
      expect(await left(user('a', { hits: 0 }))).toEqual([3]);
    });

    test('another store is away: the charge of the algorithm is given back', async () => {
      const { left, store } = await serving(
        `${GCRA}${LEASES}- key: fast\n  rate_limit: { unit: second, requests_per_unit: 9, sluice: { algorithm: gcra } }\n`,
        { charging },
      );
      store.isAwayPerSecond = true;
      await expect(left(user('a'), held('t', '1'), { entries: [['fast', '']] })).rejects.toThrow('away');
      expect(await left(user('a', { hits: 0 }), held('t', '1', { hits: 0 }))).toEqual([3, 2]);
    });

    test('a refused request still ends a lease, and shadow limits are still charged', async () => {
      const { left } = await serving(
        `${GCRA}${LEASES}- key: soft\n  shadow_mode: true\n  rate_limit: { unit: hour, requests_per_unit: 9, sluice: { algorithm: log } }\n`,
        { charging },
      );
      const soft: Asked = { entries: [['soft', 'x']] };
      await left(held('t', '1'));
      await left(user('a', { hits: 3 }));
      expect(await left(user('a'), soft, done('t', '1'))).toEqual(['over', 8, 2]);
      expect(await left({ ...soft, hits: 0 })).toEqual([8]);
    });
  },
);

test.each([
  ['an algorithm', user('a', { hits: 4 }), undefined],
  ['a window', { entries: [['path', '/']], hits: 3 }, undefined],
  ['the local cache', { entries: [['path', '/']], hits: 3 }, new LocalCache(10_000)],
] as const)('all or none: a shadow limit is charged by itself where %s refuses', async (_by, refused, cache) => {
  const { left } = await serving(
    `${GCRA}- key: path\n  rate_limit: { unit: day, requests_per_unit: 2 }\n- key: soft\n  shadow_mode: true\n  rate_limit: { unit: day, requests_per_unit: 9 }\n`,
    { charging: 'all or none' },
    cache,
  );
  const soft: Asked = { entries: [['soft', 'x']] };
  for (let call = 0; call < 2; call++) expect((await left(refused, soft))[0]).toBe('over');
  expect(await left({ ...soft, hits: 0 })).toEqual([7]);
});

describe('a store that is away', () => {
  const config = (outage: string): string =>
    GCRA.replace('gcra,', `gcra, outage: ${outage},`) + LEASES.replace('per:', `outage: ${outage}, per:`);

  test('error fails the request, open admits, closed refuses', async () => {
    const [error, open, closed] = [
      await serving(config('error')),
      await serving(config('open')),
      await serving(config('closed')),
    ];
    for (const one of [error, open, closed]) one.store.isAway = true;
    await expect(error.left(user('a'))).rejects.toThrow('away');
    expect(await open.left(user('a'), held('t', '1'))).toEqual([2, 1]);
    expect(await closed.left(user('a'), held('t', '1'))).toEqual(['over', 'over']);
    expect([open.metrics.outages.open, closed.metrics.outages.closed]).toEqual([2, 2]);
  });

  test("local counts by the same algorithm, up to this replica's share", async () => {
    const { left, store, clock } = await serving(config('local'), { replicas: 2 });
    store.isAway = true;
    // A burst of 2 of 3, 30 a minute
    expect([await left(user('a')), await left(user('a')), await left(user('a'))]).toEqual([[1], [0], ['over']]);
    clock.nowMs += 2000;
    expect([await left(user('a')), await left(user('a'))]).toEqual([[0], ['over']]);
    expect([await left(held('t', '1')), await left(held('t', '2'))]).toEqual([[0], ['over']]);
    await left(done('t', '1'));
    expect(await left(held('t', '2'))).toEqual([0]);
    store.isAway = false;
    expect([await left(user('a')), await left(held('t', '3'))]).toEqual([[2], [1]]);
  });

  test.each([
    ['open', 9],
    ['closed', 'over'],
  ] as const)('%s answers a new key for which memory has no room', async (outage, expected) => {
    const { left } = await serving(
      `- key: user\n  rate_limit: { unit: minute, requests_per_unit: 10, sluice: { algorithm: gcra, outage: ${outage} } }\n`,
      {},
      undefined,
      1,
    );
    expect([await left(user('ann')), await left(user('bob'))]).toEqual([[9], [expected]]);
  });
});
