/** The rule that decides: order, groups, quotas, percentages. */
import { changeOf } from '../../../src/counting/ask.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allow,
  deny,
  PERMISSION_DENIED,
  type QuotaAnswer,
  type QuotaAsk,
  Unavailable,
} from '../../../src/adapters/contract.ts';
import { plainWire } from '../../../src/attributes/plain-wire.ts';
import { engineOf, pause, type Script, type Scripts } from './engine-of.ts';

describe('the first deny in rule order is the answer', () => {
  type Says = 'allow' | 'deny' | 'fails' | 'error';
  /** What docs/rules.md, section 5 says of rules that say this, in order. */
  function wanted(says: readonly Says[]): { outcome: string; rule: string | undefined } {
    const denied = says.findIndex((one) => one === 'deny' || one === 'fails');
    if (denied >= 0) return { outcome: says[denied] === 'deny' ? 'deny' : 'failed', rule: `r-${denied}` };
    const error = says.indexOf('error');
    return error >= 0 ? { outcome: 'error', rule: `r-${error}` } : { outcome: 'allow', rule: undefined };
  }

  test('whichever handler finishes first', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            says: fc.constantFrom<Says>('allow', 'deny', 'fails', 'error'),
            afterMs: fc.constantFrom(-1, 0, 3, 6),
          }),
          { minLength: 1, maxLength: 6 },
        ),
        async (rules) => {
          const scripts: Scripts = Object.fromEntries(
            rules.map(({ says, afterMs }, at): [string, Script] => [
              `h-${at}`,
              {
                check: (): never => {
                  const answer = (): unknown => {
                    if (says === 'fails' || says === 'error') throw new Unavailable('away');
                    return says === 'allow' ? allow() : deny(PERMISSION_DENIED, 'no');
                  };
                  return (afterMs < 0 ? answer() : pause(afterMs).then(answer)) as never;
                },
              },
            ]),
          );
          const text = `handlers:\n${rules.map((_, at) => `  h-${at}: { adapter: check-script, config: { script: h-${at} } }\n`).join('')}rules:\n${rules
            .map(
              ({ says }, at) =>
                `  - { name: r-${at}, check: { handler: h-${at}, input: {} }${says === 'error' ? ', onError: { handler: error }' : ''} }\n`,
            )
            .join('')}`;
          const { http, engine } = await engineOf(text, scripts);
          const { outcome, rule } = await http();
          expect({ outcome, rule }).toEqual(wanted(rules.map(({ says }) => says)));
          await engine.drain();
        },
      ),
      { numRuns: 40 },
    );
  });
});

/** Counts as a fixed window that never ends, all or none. */
function counting(): Script & { readonly counts: Map<string, number>; readonly asked: string[][] } {
  const counts = new Map<string, number>();
  const asked: string[][] = [];
  const keyOf = ({ bucket, key }: QuotaAsk<{ counter: string }>): string => `${bucket.counter}/${key}`;
  return {
    counts,
    asked,
    charge: (asks): QuotaAnswer[] => {
      asked.push(asks.map((ask) => `${keyOf(ask)} +${changeOf(ask)} of ${ask.limit}`));
      const fits = asks.map((ask) => (counts.get(keyOf(ask)) ?? 0) + changeOf(ask) <= ask.limit);
      if (fits.every(Boolean))
        for (const ask of asks) counts.set(keyOf(ask), (counts.get(keyOf(ask)) ?? 0) + changeOf(ask));
      return asks.map((ask, at) => ({
        granted: fits[at] === true,
        limit: ask.limit,
        remaining: Math.max(0, ask.limit - (counts.get(keyOf(ask)) ?? 0)),
        resetMs: 5000,
      }));
    },
  };
}

describe('quotas', () => {
  const rules = (text: string): string => `
handlers:
  q: { adapter: quota-script, config: { script: q } }
  p: { adapter: quota-script, config: { script: p } }
rules:
${text}
  - { name: used, match: 'request.path == "/never"', quota: { handler: p, limit: 1, per: 1m, key: [] } }
`;

  test('all rules of one handler are one ask, each counter once, with its largest cost and tightest limit', async () => {
    const q = counting();
    const { http } = await engineOf(
      rules(`
  - { name: a, quota: { handler: q, counter: c, limit: 9, per: 1m, cost: 2, key: ['"x"'] } }
  - { name: b, quota: { handler: q, counter: c, limit: 5, per: 1m, cost: 3, key: ['"x"'] } }
  - { name: other, quota: { handler: q, limit: 7, per: 1m, key: ['"x"'] } }`),
      { q },
    );
    expect(await http()).toMatchObject({ outcome: 'allow' });
    expect(q.asked).toEqual([['c/s1:x +3 of 5', 'other/s1:x +1 of 7']]);
    expect(await http()).toMatchObject({ outcome: 'deny', rule: 'a', status: 429 });
    expect(Object.fromEntries(q.counts)).toEqual({ 'c/s1:x': 3, 'other/s1:x': 1 });
  });

  test('values of different types are different keys, and absent is a value of its own', async () => {
    const q = counting();
    const { http } = await engineOf(
      rules(
        `  - { name: a, quota: { handler: q, limit: 9, per: 1m, key: ['request.headers["x-a"]', '1', '"1"', '[1, 2]', 'true'] } }`,
      ),
      { q },
    );
    await http();
    await http({ 'request.headers': { 'x-a': '-' } });
    expect([...q.counts.keys()]).toEqual(['a/-,i1,s1:1,[i1,i2],t', 'a/s1:-,i1,s1:1,[i1,i2],t']);
  });

  test('handlers are asked in rule order, and none after the first refusal', async () => {
    const [q, p] = [counting(), counting()];
    const { http } = await engineOf(
      rules(`
  - { name: first, quota: { handler: p, limit: 0, per: 1m, key: [] } }
  - { name: second, quota: { handler: q, limit: 1, per: 1m, key: [] } }`),
      { q, p },
    );
    expect(await http()).toMatchObject({ outcome: 'deny', rule: 'first' });
    expect([p.asked.length, q.asked.length]).toEqual([1, 0]);
  });

  test('none is asked if a check has denied', async () => {
    const q = counting();
    const { http } = await engineOf(
      rules(`
  - { name: a, quota: { handler: q, limit: 1, per: 1m, key: [] } }
  - { name: no, deny: {} }`),
      { q },
    );
    expect(await http()).toMatchObject({ outcome: 'deny', rule: 'no' });
    expect(q.asked).toEqual([]);
  });

  test('a shadow rule is charged separately, never as part of an enforced ask', async () => {
    const q = counting();
    const { http } = await engineOf(
      rules(`
  - { name: real, quota: { handler: q, limit: 2, per: 1m, key: [] } }
  - { name: soon, quota: { handler: q, limit: 1, per: 1m, key: [] }, mode: shadow }`),
      { q },
    );
    expect(await http()).toMatchObject({ outcome: 'allow', shadow: [] });
    expect(await http()).toMatchObject({ outcome: 'allow', shadow: ['soon'] });
    expect(q.asked.map((asks) => asks.length)).toEqual([1, 1, 1, 1]);
    expect(await http()).toMatchObject({ outcome: 'deny', rule: 'real' });
  });

  test.each([
    ['a negative cost', 'size(request.path) - 1000'],
    ['one beyond 2^53', 'size(request.path) + 9007199254740993'],
    ['one that fails', 'int(request.headers["x-cost"])'],
  ])('%s is denied as failed', async (_what, cost) => {
    const q = counting();
    const { http } = await engineOf(
      rules(`  - { name: a, quota: { handler: q, limit: 9, per: 1m, key: [], cost: '${cost}' } }`),
      { q },
    );
    expect(await http()).toMatchObject({ outcome: 'failed', rule: 'a', status: 503 });
    expect(q.asked).toEqual([]);
  });

  test('over all descriptors of a request there is one ask, and each descriptor has its status', async () => {
    const q = counting();
    const { limit } = await engineOf(
      rules(`
  - { name: user, quota: { handler: q, limit: 2, per: 1m, key: [ratelimit.descriptor.user] } }
  - { name: path, quota: { handler: q, limit: 1, per: 1m, key: [ratelimit.descriptor.path] } }`),
      { q },
    );
    const both = [{ user: 'ann' }, { path: '/a' }, { other: '1' }];
    expect((await limit(both)).statuses.map(({ over, rule, remaining }) => [over, rule, remaining])).toEqual([
      [false, 'user', 1],
      [false, 'path', 0],
      [false, undefined, expect.anything()],
    ]);
    expect(q.asked[0]).toEqual(['user/s3:ann +1 of 2', 'path/s2:/a +1 of 1']);
    expect((await limit(both)).statuses.map(({ over }) => over)).toEqual([false, true, false]);
    expect(q.counts.get('user/s3:ann')).toBe(1);
  });
});

describe('percentages', () => {
  const shares = (percent: number): string => `
rules:
  - { name: part, deny: {}, mode: { percent: ${percent}, by: 'request.headers["x-user"]' } }
`;
  const users = Array.from({ length: 2000 }, (_, at) => `user-${at}`);
  const inside = async (percent: number): Promise<Set<string>> => {
    const { http, engine } = await engineOf(shares(percent), {});
    const found = new Set<string>();
    for (const user of users)
      if ((await http({ 'request.headers': { 'x-user': user } })).outcome === 'deny') found.add(user);
    await engine.drain();
    return found;
  };

  test('10 % are about that, the same in every engine, and inside 20 %', async () => {
    const [ten, again, twenty, fraction] = [await inside(10), await inside(10), await inside(20), await inside(0.5)];
    expect(again).toEqual(ten);
    expect(ten.size / users.length).toBeGreaterThan(0.08);
    expect(ten.size / users.length).toBeLessThan(0.12);
    expect(twenty.size / users.length).toBeGreaterThan(0.17);
    expect(twenty.size / users.length).toBeLessThan(0.23);
    expect([...ten].filter((user) => !twenty.has(user))).toEqual([]);
    expect([...fraction].filter((user) => !ten.has(user))).toEqual([]);
    expect(fraction.size).toBeGreaterThan(0);
  });

  test('without `by` it is random per call', async () => {
    const { http } = await engineOf('rules: [{ name: part, deny: {}, mode: { percent: 50 } }]\n', {});
    let denied = 0;
    for (let call = 0; call < 1000; call++) if ((await http()).outcome === 'deny') denied++;
    expect(denied).toBeGreaterThan(400);
    expect(denied).toBeLessThan(600);
  });

  test('where `by` fails a rule that refuses is enforced, and the failure is counted', async () => {
    const { http, engine } = await engineOf(shares(1), {});
    expect(await http()).toMatchObject({ outcome: 'deny', shadow: [] });
    expect(engine.meters.ofRule('part').keyFailures).toBe(1);
  });

  test('at 100 % and at 0 % `by` is not looked at', async () => {
    for (const [percent, outcome] of [
      [100, 'deny'],
      [0, 'allow'],
    ] as const) {
      const { http, engine } = await engineOf(shares(percent), {});
      expect(await http()).toMatchObject({ outcome });
      expect(engine.meters.ofRule('part').keyFailures).toBe(0);
    }
  });
});

test('more hits than a number holds exactly are more than any limit', async () => {
  const asked: QuotaAsk<unknown>[] = [];
  const text = `
handlers: { q: { adapter: quota-script, config: { script: q } } }
rules:
  - { name: five, match: ratelimit.domain == "d", quota: { handler: q, limit: 5, per: 1m, key: [] } }
`;
  const q: Script = {
    charge: (asks) => {
      asked.push(...asks);
      return asks.map((ask) => ({
        granted: changeOf(ask) <= ask.limit,
        limit: ask.limit,
        remaining: 0,
        resetMs: 1000,
      }));
    },
  };
  const { engine, load } = await engineOf(text, { q });
  const { attributes } = await load(text);
  const wire = plainWire(
    attributes,
    { 'ratelimit.domain': 'd', 'ratelimit.descriptor': {}, 'ratelimit.hits': 2n ** 60n },
    {},
    'limit',
  );
  expect((await engine.limit([wire], { remainingMs: undefined, signal: undefined })).statuses).toMatchObject([
    { over: true, rule: 'five' },
  ]);
  expect(asked.map(changeOf)).toEqual([Number.MAX_SAFE_INTEGER]);
});

describe("a client's header never passes for ours", () => {
  test('a rule that failed in any part removes the headers that it would set', async () => {
    const { http, engine } = await engineOf(
      `
handlers: { h: { adapter: check-script, config: { script: h } } }
rules:
  - name: text
    onAllow: { request: { set: { x-role: '\${request.headers["x-missing"]}', x-fixed: "1" } }, query: { set: { tier: gold } } }
  - { name: used, match: 'request.path == "/never"', check: { handler: h, input: {} } }
`,
      {},
    );
    const verdict = await http();
    expect(verdict).toMatchObject({
      outcome: 'allow',
      changes: {
        request: { set: [], append: [], remove: ['x-role', 'x-fixed'] },
        query: { set: [], remove: ['tier'] },
      },
    });
    expect(engine.meters.ofRule('text')).toMatchObject({ failed: 1, texts: 1 });
  });
});

test('an entry of X-Forwarded-For that is no address is counted, and apart from it a header with too few entries', async () => {
  const { http, engine } = await engineOf(
    'settings: { trustedHops: 1 }\nrules: [{ name: far, match: origin.ip == ip("203.0.113.9"), deny: {} }]\n',
    {},
  );
  const count = (what: string): number =>
    [...(engine.families.find(({ name }) => name === `sluice_forwarded_for_${what}_total`)?.read() ?? [])][0]?.value ??
    NaN;
  const before = { unreadable: count('unreadable'), short: count('short') };
  for (const entries of ['203.0.113.9:80, 10.0.0.1', 'unknown, 10.0.0.1', '203.0.113.9', '10.0.0.1', ''])
    await http({ 'source.ip': '192.0.2.1', 'request.headers': { 'x-forwarded-for': entries } });
  await http({ 'source.ip': '192.0.2.1', 'request.headers': {} });
  expect({ unreadable: count('unreadable') - before.unreadable, short: count('short') - before.short }).toEqual({
    unreadable: 1,
    short: 2,
  }); // an empty header is none
});
