/** Inspections of quota rules for operators: which apply and why, the state of their counters; inspecting has no side effects. */
import { changeOf } from '../../../src/counting/ask.ts';
import { describe, expect, test } from 'vitest';
import { type QuotaAnswer, type QuotaAsk, Unavailable } from '../../../src/adapters/contract.ts';
import { createEngine } from '../../../src/core/engine.ts';
import { engineOf, type Script } from './engine-of.ts';

const HANDLERS =
  'handlers:\n  q: { adapter: quota-script, config: { script: q } }\n  other: { adapter: quota-script, config: { script: other } }\n  e: { adapter: enrich-script, config: { script: e } }\n';

/** Counts by counter and key, as a backend that can be looked into. */
function counting(): Script & { readonly asked: QuotaAsk[][] } {
  const counts = new Map<string, number>();
  const asked: QuotaAsk[][] = [];
  const nameOf = ({ bucket: { counter }, key }: QuotaAsk<{ counter: string }>): string => `${counter}/${key}`;
  return {
    asked,
    charge: (asks) => {
      asked.push([...asks]);
      return asks.map((ask): QuotaAnswer => {
        const used = (counts.get(nameOf(ask)) ?? 0) + changeOf(ask);
        counts.set(nameOf(ask), used);
        return {
          granted: used <= ask.limit,
          limit: ask.limit,
          remaining: Math.max(0, ask.limit - used),
          resetMs: 5000,
        };
      });
    },
    look: (asks) => asks.map((ask) => ({ counter: nameOf(ask), holders: [{ who: 'me', units: 1 }] })),
    reset: (asks) => {
      for (const ask of asks) counts.delete(nameOf(ask));
    },
  };
}

describe('an inspection of the quota rules', () => {
  test('shows for every rule whether it applies, and why', async () => {
    const { quotas } = await engineOf(
      `${HANDLERS}rules:
  - { name: always, quota: { handler: q, key: [], limit: 3, per: 1h } }
  - { name: posts, match: 'request.method == "POST"', quota: { handler: q, key: [], limit: 3, per: 1h } }
  - { name: unsure, match: 'request.headers["x-a"] == "1"', quota: { handler: q, key: [], limit: 3, per: 1h } }
  - { name: strict, match: 'request.headers["x-a"] == "1"', quota: { handler: q, key: [], limit: 3, per: 1h }, onError: { input: deny } }
  - { name: described, quota: { handler: q, key: [ratelimit.descriptor.user, ratelimit.descriptor.path], limit: 3, per: 1h } }
  - { name: no-quota, deny: {}, match: 'false' }
`,
      { q: counting() },
    );
    const http = await quotas('explain', 'http', { 'request.method': 'GET', 'request.path': '/' });
    expect(http.map(({ rule, applies, why }) => [rule, applies, why])).toEqual([
      ['always', true, 'it has no match'],
      ['posts', false, 'its match is false'],
      ['unsure', true, expect.stringMatching(/^its match failed: .*x-a.*; a quota is charged then$/)],
      ['strict', false, expect.stringMatching(/^its match failed: .*x-a.*; the call is refused as failed$/)],
      ['described', false, 'it is asked in limit calls, not in http'],
    ]);
    const limit = await quotas(
      'explain',
      'limit',
      { 'ratelimit.domain': 'd', 'ratelimit.descriptor': { user: 'ann' } },
      { 'ratelimit.domain': 'd', 'ratelimit.descriptor': { user: 'ann', path: '/a' } },
    );
    expect(
      limit
        .filter(({ rule }) => rule === 'described')
        .map(({ descriptor, applies, why }) => [descriptor, applies, why]),
    ).toEqual([
      [1, false, 'the descriptor has no path'],
      [2, true, 'it has no match'],
    ]);
  });

  test('shows what it would charge: key, limit, cost, counter, mode', async () => {
    const { quotas } = await engineOf(
      `${HANDLERS}rules:
  - { name: enforced, quota: { handler: q, key: [request.host, 'size(request.path)', request.protocol], limit: 'request.host == "a" ? 10 : 5', cost: 2, per: 1m, algorithm: gcra, burst: 20, counter: shared } }
  - { name: tried, mode: shadow, quota: { handler: other, key: [], limit: 1, per: month, zone: Europe/Amsterdam } }
`,
      { q: counting() },
    );
    const [enforced, tried] = await quotas('inspect', 'http', { 'request.host': 'a', 'request.path': '/abc' });
    expect(enforced).toEqual({
      rule: 'enforced',
      at: 'p.yaml:6',
      applies: true,
      why: 'it has no match',
      enforced: true,
      handler: 'q',
      adapter: 'quota-script',
      algorithm: 'gcra',
      counter: 'shared',
      key: [
        { source: 'request.host', value: 'a' },
        { source: 'size(request.path)', value: 4 },
        { source: 'request.protocol', value: null },
      ],
      limit: 10,
      cost: 2,
      burst: 20,
      perMs: 60_000,
      place: 'shared/s1:a,i4,-',
      holders: [{ who: 'me', units: 1 }],
      state: { granted: true, used: 10, remaining: 10, resetMs: 5000 },
    });
    expect(tried).toMatchObject({
      enforced: false,
      counter: 'tried#shadow',
      calendar: 'month Europe/Amsterdam',
      limit: 1,
      cost: 1,
    });
    expect(tried).not.toHaveProperty('place');
  });

  test('charges nothing, counts nothing, keeps no verdict', async () => {
    const q = counting();
    const { engine, quotas, http } = await engineOf(
      `${HANDLERS}rules:
  - { name: plan, enrich: { handler: e, input: { key: request.host }, as: my.row } }
  - { name: hosts, mode: { percent: 50, by: 'request.headers["x-none"]' }, match: 'my.row.plan == "gold"', quota: { handler: q, key: [my.row.plan], limit: 3, per: 1h, once: request.path } }
`,
      { q, e: { lookup: () => ({ plan: 'gold' }) } },
    );
    const request = { 'request.method': 'GET', 'request.host': 'a', 'request.path': '/' };
    const before = engine.families.map((family) => JSON.stringify(family.read()));
    const [hosts] = await quotas('inspect', 'http', request);
    expect(hosts).toMatchObject({
      applies: true,
      enforced: true,
      key: [{ source: 'my.row.plan', value: 'gold' }],
      state: { used: 0, remaining: 3 },
    });
    await quotas('reset', 'http', request);
    expect(q.asked.flat().map(({ kind, idempotencyKey }) => [kind, idempotencyKey])).toEqual([
      ['look', undefined],
      ['look', undefined],
    ]);
    expect(engine.families.map((family) => JSON.stringify(family.read()))).toEqual(before);
    expect(engine.verdicts()).toEqual([]);
    await http(request);
    expect(engine.families.map((family) => JSON.stringify(family.read()))).not.toEqual(before);
  });

  test('granted is whether the cost is left now', async () => {
    const { quotas, http } = await engineOf(
      `${HANDLERS}rules:
  - { name: two, quota: { handler: q, key: [], limit: 3, cost: 2, per: 1h } }
  - { name: some, quota: { handler: q, key: [], limit: 3, cost: 2, per: 1h, partial: true } }
  - { name: after, calls: [log], quota: { handler: q, key: [], limit: 1, cost: 9, per: 1h } }
`,
      { q: counting() },
    );
    const granted = async (call: 'http' | 'log'): Promise<unknown[]> =>
      (await quotas('inspect', call, {})).map(({ rule, state }) => [rule, state?.granted, state?.used]);
    expect(await granted('http')).toEqual([
      ['two', true, 0],
      ['some', true, 0],
      ['after', undefined, undefined],
    ]);
    await http();
    expect(await granted('http')).toEqual([
      ['two', false, 2],
      ['some', true, 2],
      ['after', undefined, undefined],
    ]);
    expect(await granted('log')).toEqual([
      ['two', undefined, undefined],
      ['some', undefined, undefined],
      ['after', true, 0],
    ]);
  });

  test("hides secrets of a key, and the backend's name for a counter that holds them", async () => {
    const { quotas } = await engineOf(
      `attributes:
  my.token: { is: 'request.headers["authorization"]', secret: true }
  my.tenant: { is: 'request.headers["authorization"].split(" ")[1]' }
${HANDLERS}rules:
  - { name: by-header, quota: { handler: q, key: ['request.headers["authorization"]'], limit: 3, per: 1h } }
  - { name: by-secret, quota: { handler: q, key: [my.token], limit: 3, per: 1h } }
  - { name: derived, quota: { handler: q, key: [request.host, my.tenant], limit: 3, per: 1h } }
  - { name: by-name, quota: { handler: q, key: ['request.headers[request.headers["x-name"]]'], limit: 3, per: 1h } }
  - { name: api-key, quota: { handler: q, key: [request.api_key], limit: 3, per: 1h } }
  - { name: open, quota: { handler: q, key: ['request.headers["x-user"]'], limit: 3, per: 1h } }
`,
      { q: counting() },
    );
    const looks = await quotas('reset', 'http', {
      'request.host': 'a',
      'request.headers': {
        authorization: 'Bearer s3cret',
        'x-user': 'ann',
        'x-name': 'authorization',
        'x-api-key': 's3cret',
      },
    });
    expect(looks.map(({ rule, key, place }) => [rule, key.map(({ value }) => value), place])).toEqual([
      ['by-header', ['(secret)'], '(secret)'],
      ['by-secret', ['(secret)'], '(secret)'],
      ['derived', ['a', '(secret)'], '(secret)'],
      ['by-name', ['(secret)'], '(secret)'],
      ['api-key', ['(secret)'], '(secret)'],
      ['open', ['ann'], 'open/s3:ann'],
    ]);
    expect(JSON.stringify(looks)).not.toContain('s3cret');
  });

  test('a failed part or handler is shown at its rule', async () => {
    const { quotas, engine } = await engineOf(
      `${HANDLERS}rules:
  - { name: no-cost, quota: { handler: q, key: [], limit: 3, cost: 'int(request.headers["x-cost"])', per: 1h } }
  - { name: away, quota: { handler: other, key: [], limit: 3, per: 1h } }
  - { name: there, quota: { handler: q, key: [], limit: 3, per: 1h } }
`,
      {
        q: { ...counting(), look: () => [] },
        other: {
          charge: () => {
            throw new Unavailable('nobody is at home');
          },
        },
      },
    );
    for (let look = 0; look < 12; look++) await quotas('inspect', 'http', {});
    const [noCost, away, there] = await quotas('reset', 'http', {});
    expect(noCost?.failure).toMatch(/^cost: .*; the call is refused as failed$/);
    expect(noCost).not.toHaveProperty('reset');
    expect(away).toMatchObject({
      applies: true,
      reset: false,
      failure: '[quota-script/other] its adapter cannot reset counters',
    });
    expect((await quotas('inspect', 'http', {}))[1]).toMatchObject({
      failure: '[quota-script/other] nobody is at home',
    });
    expect(there).toMatchObject({ reset: true, state: { remaining: 3 } });
    expect((await quotas('inspect', 'http', {}))[2]).toMatchObject({
      state: { remaining: 3 },
      failure: expect.stringContaining(
        '[quota-script/q] error in the plugin: look() must return the location of the counter for each of its 1 asks',
      ),
    });
    expect(engine.handlers().map(({ breaker }) => breaker)).toEqual(['closed', 'closed', 'closed']);
  });
});

describe('a reset', () => {
  test('clears the counters of the rules that apply, once per handler, and shows their last state', async () => {
    const [q, other] = [counting(), counting()];
    const resets: string[] = [];
    const noting = (name: string, script: Script): Script => ({
      ...script,
      reset: (asks) => {
        resets.push(`${name} ${asks.length}`);
        return script.reset?.(asks);
      },
    });
    const { quotas, http } = await engineOf(
      `${HANDLERS}rules:
  - { name: a, quota: { handler: q, key: [request.host], limit: 3, per: 1h } }
  - { name: b, mode: shadow, quota: { handler: q, key: [request.host], limit: 3, per: 1h } }
  - { name: c, quota: { handler: other, key: [request.host], limit: 3, per: 1h } }
  - { name: d, match: 'request.host == "none"', quota: { handler: q, key: [request.host], limit: 3, per: 1h } }
`,
      { q: noting('q', q), other: noting('other', other) },
    );
    for (const host of ['x', 'x', 'y']) await http({ 'request.host': host });
    const told = await quotas('reset', 'http', { 'request.host': 'x' });
    expect(told.map(({ rule, reset, state }) => [rule, reset, state?.used])).toEqual([
      ['a', true, 2],
      ['b', true, 2],
      ['c', true, 2],
      ['d', undefined, undefined],
    ]);
    expect(resets.toSorted()).toEqual(['other 1', 'q 2']);
    const used = async (host: string): Promise<unknown[]> =>
      (await quotas('inspect', 'http', { 'request.host': host })).map(({ state }) => state?.used);
    expect(await used('x')).toEqual([0, 0, 0, undefined]);
    expect(await used('y')).toEqual([1, 1, 1, undefined]);
  });

  test('without a policy there is nothing to show', async () => {
    const engine = createEngine({
      openHandlers: () => {
        throw new Error('no handler is opened');
      },
    });
    expect(await engine.quotas('inspect', 'http', [])).toBeUndefined();
  });
});
