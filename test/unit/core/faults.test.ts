/** The engine answers a call whatever throws while it is decided. */
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import {
  type CheckAnswer,
  defineAdapter,
  deny,
  PERMISSION_DENIED,
  Rejected,
  Unavailable,
} from '../../../src/adapters/contract.ts';
import type { Compiled } from '../../../src/expression/index.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import type { Rule } from '../../../src/core/rules/rule.ts';
import { engineOf, pause, PATIENT } from './engine-of.ts';

const POLICY = `
handlers:
  h: { adapter: check-script, config: { script: h } }
  q: { adapter: quota-script, config: { script: q } }
  e: { adapter: enrich-script, config: { script: e } }
  out: { adapter: log-script, config: { script: out } }
rules:
  - { name: enriched, enrich: { handler: e, input: { key: request.path }, as: my.row } }
  - { name: denied, match: request.path == "/never", deny: {} }
  - { name: asked, match: request.path != "/never", check: { handler: h, input: { value: request.path } } }
  - { name: charged, match: request.path != "/never", quota: { handler: q, limit: 5, per: 1m, key: [request.path] } }
  - { name: told, match: request.path != "/never", report: { handler: out, input: { path: request.path } }, calls: [http, log] }
`;
const boom = (): never => {
  throw new TypeError('boom');
};

/** The policy with one part of one rule that throws when it is evaluated. */
function broken(policy: Policy, name: string, change: (rule: Rule) => Rule): Policy {
  const rules = policy.rules.map((rule) => (rule.name === name ? change(rule) : rule));
  return { ...policy, rules, enrich: policy.enrich.map((rule) => rules.find((one) => one.name === rule.name) ?? rule) };
}
const thrower = (compiled: Compiled | undefined): Compiled => ({
  ...(compiled as Compiled),
  evaluate: boom,
  why: boom,
});
const throwingMatch = (rule: Rule): Rule => ({ ...rule, match: thrower(rule.match) });
const throwingInput = (rule: Rule): Rule => {
  const { action } = rule;
  if (action?.kind === 'check' || action?.kind === 'enrich' || action?.kind === 'report')
    return { ...rule, action: { ...action, input: boom } };
  return action?.kind === 'quota' ? { ...rule, action: { ...action, limit: thrower(action.limit) } } : rule;
};

const STAGES: readonly (readonly [what: string, rule: string, change: (rule: Rule) => Rule, outcome: string])[] = [
  ['the match of a deny', 'denied', throwingMatch, 'failed'],
  ['the match of a check', 'asked', throwingMatch, 'failed'],
  ['the input of a check', 'asked', throwingInput, 'failed'],
  ['the match of a quota', 'charged', throwingMatch, 'failed'],
  ['the limit of a quota', 'charged', throwingInput, 'failed'],
  ['the input of an enrich rule', 'enriched', throwingInput, 'allow'],
  ['the match of a report', 'told', throwingMatch, 'allow'],
  ['the input of a report', 'told', throwingInput, 'allow'],
];

describe.each(STAGES)('%s that throws', (_what, name, change, outcome) => {
  test('has the result of a failure of that rule, and is counted', async () => {
    const { http, log, engine, load } = await engineOf(POLICY, {});
    await engine.use(broken(await load(POLICY), name, change));
    expect((await http()).outcome).toBe(outcome);
    expect(engine.meters.ofRule(name).failed).toBe(1);
    await log();
  });
});

test('a plugin that throws for each call is logged once, with the place', async () => {
  const { http, logged } = await engineOf(POLICY, { h: { check: boom } });
  for (let call = 0; call < 5; call++) expect((await http()).outcome).toBe('failed');
  const lines = logged.filter(({ message }) => message === 'error in a plugin');
  expect(lines.map(({ fields }) => fields)).toEqual([
    {
      handler: 'h',
      adapter: 'check-script',
      at: expect.stringMatching(/faults\.test\.ts:\d+:\d+$/),
      why: '[check-script/h] error in the plugin: TypeError: boom',
      times: 1,
    },
  ]);
});

test('a handler whose backend answers what it cannot use is logged once, with the cause; reports are not', async () => {
  const reject = (): never => {
    throw new Rejected('its answer has no boolean at /result/allow');
  };
  const { http, log, engine, logged } = await engineOf(POLICY, { h: { check: reject }, out: { write: reject } });
  for (let call = 0; call < 5; call++) expect((await http()).outcome).toBe('failed');
  await log();
  await engine.flush();
  expect(logged.filter(({ message }) => message === 'a handler rejected a call').map(({ fields }) => fields)).toEqual([
    {
      handler: 'h',
      adapter: 'check-script',
      why: '[check-script/h] its answer has no boolean at /result/allow',
      times: 1,
    },
  ]);
  expect(engine.meters.ofHandler('h').failures.rejected).toBe(5);
});

test('the line of a rejected call has no secret of the request', async () => {
  const { http, logged } = await engineOf(
    `
handlers: { h: { adapter: check-script, config: { script: h } } }
rules:
  - { name: asks, check: { handler: h, input: { value: 'reveal(request.headers["authorization"])' } } }
`,
    {
      h: {
        check: async ({ value }) => {
          await Promise.resolve();
          throw new Rejected(`${String(value)} is not a number`);
        },
      },
    },
  );
  await http({ 'request.headers': new Map([['authorization', 'Bearer hunter2']]) });
  const lines = logged.filter(({ message }) => message === 'a handler rejected a call');
  expect(lines.map(({ fields }) => fields['why'])).toEqual(['[check-script/h] (secret) is not a number']);
});

test('the place of an error is in the plugin, also if the plugin calls Sluice or Node wrongly', async () => {
  const { http, logged } = await engineOf(POLICY, { h: { check: () => deny(PERMISSION_DENIED, 'no', null as never) } });
  await http();
  expect(logged.find(({ message }) => message === 'error in a plugin')?.fields['at']).toMatch(
    /\/core\/faults\.test\.ts:\d+:\d+$/,
  );
});

test.each(['check', 'enrich'])('a %s that makes no function for its rule is an error of the policy', async (kind) => {
  const policy =
    kind === 'check'
      ? 'handlers: { h: { adapter: check-nothing, config: {} } }\nrules: [{ name: a, check: { handler: h, input: {} } }]'
      : 'handlers: { h: { adapter: enrich-nothing, config: {} } }\nrules: [{ name: a, enrich: { handler: h, input: {}, as: my.a } }]';
  const adapters = [
    defineAdapter({
      name: 'check-nothing',
      summary: 'Forgets to return.',
      config: z.strictObject({}),
      serves: { check: { input: {} } },
      open: async () => ({ check: () => undefined as never }),
    }),
    defineAdapter({
      name: 'enrich-nothing',
      summary: 'Makes the function too late.',
      config: z.strictObject({}),
      serves: { enrich: { input: {}, output: { a: 'int' } } },
      open: async () => ({ lookup: (async () => () => undefined) as never }),
    }),
  ];
  const loading = engineOf(policy, {}, {}, adapters);
  await expect(loading).rejects.toThrow(
    kind === 'check'
      ? '[check-nothing/h] check(rule) returned undefined; it must return, at once, the function'
      : '[enrich-nothing/h] lookup(rule) returned a promise; it must return, at once, the function',
  );
});

test('an enrich that answers with what it does not declare is logged once, and the rest is used', async () => {
  const lookup = (): never => ({ plan: 'gold', nmae: 'ann', 'ann-of-header': 1, absent: undefined }) as never;
  const policy = POLICY.replace(
    'input: { key: request.path }',
    `input: { key: 'reveal(request.headers["authorization"])' }`,
  );
  const { http, logged } = await engineOf(policy, { e: { lookup } });
  const headers = { 'request.headers': new Map([['authorization', 'Bearer ann-of-header']]) };
  for (let call = 0; call < 5; call++) expect((await http(headers)).outcome).toBe('allow');
  const lines = logged.filter(({ message }) => message === 'a lookup answered with what its adapter does not declare');
  expect(lines.map(({ level, fields }) => [level, fields])).toEqual([
    [
      'warn',
      {
        handler: 'e',
        adapter: 'enrich-script',
        times: 1,
        why: expect.stringMatching(/^no output "nmae" is declared; declared: /) as string,
      },
    ],
  ]);

  const wrong = await engineOf(policy, { e: { lookup: () => ({ plan: 7 }) as never } });
  await wrong.http(headers);
  expect(JSON.stringify(wrong.logged)).toContain('and not of the type that is declared');
  const throwing = await engineOf(policy, { e: { lookup: () => Object.defineProperty({}, 'plan', { get: boom }) } });
  expect((await throwing.http(headers)).outcome).toBe('allow');
  expect(JSON.stringify(throwing.logged)).toContain('its answer cannot be read: boom');
  const none = await engineOf(policy, { e: { lookup: () => ({ plan: 'gold', more: null }) as never } });
  await none.http(headers);
  expect(none.logged).toEqual([]);
});

test('an answer that throws when it is read is a fault of the plugin, now and later', async () => {
  const answer = (): CheckAnswer => Object.defineProperty({}, 'kind', { get: boom }) as CheckAnswer;
  for (const check of [answer, async () => answer()]) {
    const { http } = await engineOf(POLICY, { h: { check } });
    expect((await http()).reasons[0]?.text).toContain(
      '[check-script/h] error in the plugin: its answer cannot be read: boom',
    );
  }
});

/** Each property is plain for `reads` reads, then throws. */
function readable<T extends object>(reads: number, value: T): T {
  const left = new Map<PropertyKey, number>();
  const allows = (name: PropertyKey): boolean => {
    left.set(name, (left.get(name) ?? reads) - 1);
    return (left.get(name) ?? 0) >= 0;
  };
  return new Proxy(value, { get: (target, name) => (allows(name) ? Reflect.get(target, name) : boom()) });
}

test.each([1, 2, 3, 4])('an answer that throws at a read after %i is a fault of the plugin', async (reads) => {
  const policy = POLICY.replace(
    'input: { value: request.path } }',
    '$&, onDeny: { body: "${out.reason} ${out.text}" }, onAllow: { request: { set: { x-text: "${out.text}" } } }',
  );
  const output = (): object => readable(reads, { text: 'said' });
  const answers: readonly (() => object)[] = [
    () => ({ kind: 'allow', output: output() }),
    () => ({ kind: 'deny', code: 7, reason: 'no', output: output() }),
    () => readable(reads, { kind: 'allow', output: { text: 'said' } }),
    () => readable(reads, { kind: 'deny', code: 7, reason: 'no', headers: { 'x-own': 'a' } }),
    () => ({ kind: 'deny', code: 7, reason: 'no', headers: readable(reads, { 'x-own': 'a' }) }),
  ];
  for (const [at, answer] of answers.entries())
    for (const check of [answer, async () => answer()]) {
      const { http, logged, engine } = await engineOf(policy, { h: { check: check as never } });
      const { outcome } = await http();
      expect(['allow', 'deny', 'failed'], String(at)).toContain(outcome);
      if (at === 1 || at >= 3) expect(outcome, String(at)).not.toBe('allow');
      expect(JSON.stringify(logged), String(at)).not.toContain('internal error');
      expect(logged.some(({ message }) => message === 'error in a plugin')).toBe(
        engine.meters.ofHandler('h').failures.fault > 0,
      );
    }
});

// oxlint-disable-next-line unicorn/no-thenable -- as a plugin may
const thenable = (then: (resolve: (value: unknown) => void) => void): never => ({ then }) as never;
const UNREADABLE: unknown = Object.create(null);
const THENABLES: readonly (readonly [what: string, answer: () => never, says: string])[] = [
  ['whose then throws', () => thenable(boom), 'TypeError: boom'],
  // oxlint-disable-next-line unicorn/no-thenable -- as a plugin may
  ['whose then cannot be read', () => Object.defineProperty({}, 'then', { get: boom }) as never, 'TypeError: boom'],
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as a plugin may
  ['that rejects with what cannot be read', () => Promise.reject(UNREADABLE) as never, 'cannot be read'],
];

test.each(THENABLES)(
  'a promise of a plugin %s is a fault of the plugin, as a rejection is',
  async (_, answer, says) => {
    const { http, log, engine, logged } = await engineOf(POLICY, {
      e: { lookup: answer },
      h: { check: answer },
      out: { write: answer },
    });
    const verdict = await http();
    expect(verdict).toMatchObject({ outcome: 'failed', rule: 'asked' });
    expect(verdict.reasons.at(-1)?.text).toContain('[check-script/h] error in the plugin: ');
    await log();
    await vi.waitFor(() => expect(engine.meters.ofHandler('out').deadLettered).toBe(2));
    for (const name of ['e', 'h', 'out']) expect(engine.meters.ofHandler(name).failures.fault, name).toBeGreaterThan(0);
    expect(JSON.stringify(logged)).toContain(says);
    expect(JSON.stringify(logged)).not.toContain('internal error');
    // No place of the handler is taken for good.
    expect(engine.handlers().map(({ running }) => running)).toEqual([0, 0, 0, 0]);
  },
);

const unreadableIn = (name: string): Error => Object.defineProperty(new Error('x'), name, { get: boom });
const HOSTILE: readonly (readonly [what: string, error: unknown])[] = [
  ...['name', 'message', 'stack', 'cause', 'retryAfterMs', 'isLogged', 'entries'].map(
    (name) => [`an error whose ${name} cannot be read`, unreadableIn(name)] as const,
  ),
  ['Unavailable that cannot be read', Object.defineProperty(new Unavailable('x'), 'message', { get: boom })],
  ['an error whose texts are none', Object.assign(new Error('x'), { name: UNREADABLE, message: 7, stack: UNREADABLE })],
  ['an error with a text that is too long', new Error('x'.repeat(1024 * 1024))],
  ['an object without a prototype', UNREADABLE],
  ['a proxy', new Proxy(new Error('x'), { get: boom, getPrototypeOf: boom })],
  ['a symbol', Symbol('x')],
  ['nothing', undefined],
];

describe.each(HOSTILE)('a plugin that throws %s', (_, error) => {
  test.each([
    [
      'at once',
      (): never => {
        throw error;
      },
    ],
    [
      'later',
      (): never =>
        Promise.resolve().then(() => {
          throw error;
        }) as never,
    ],
    [
      'in its answer',
      (): never =>
        Object.defineProperty({}, 'kind', {
          get() {
            throw error;
          },
        }) as never,
    ],
    [
      'in its later answer',
      async (): Promise<never> =>
        Object.defineProperty({}, 'kind', {
          get() {
            throw error;
          },
        }) as never,
    ],
  ])('%s fails its call alone', async (_, check) => {
    const { http, engine, logged } = await engineOf(POLICY, { h: { check } });
    const verdict = await http();
    expect(verdict).toMatchObject({ outcome: 'failed', rule: 'asked' });
    expect(verdict.reasons.at(-1)?.text).toContain('[check-script/h] ');
    expect(engine.handlers().map(({ running }) => running)).toEqual([0, 0, 0, 0]);
    expect(JSON.stringify(logged)).not.toContain('internal error');
    expect(JSON.stringify(logged).length).toBeLessThan(10_000);
  });
});

test('a thenable that resolves and then throws has answered', async () => {
  const check = (): never =>
    thenable((resolve) => {
      resolve(deny(PERMISSION_DENIED, 'no'));
      boom();
    });
  const { http, engine } = await engineOf(POLICY, { h: { check } });
  expect(await http()).toMatchObject({ outcome: 'deny', rule: 'asked' });
  expect(engine.handlers().map(({ running }) => running)).toEqual([0, 0, 0, 0]);
});

test.each([
  [PERMISSION_DENIED, undefined, 'permission denied'],
  [16, '', 'unauthenticated'],
  [8, null, 'resource exhausted'],
  [5, 'no such tenant', 'no such tenant'],
])('a denial with code %i and the reason %j says %j', async (code, reason, says) => {
  const policy = POLICY.replace('input: { value: request.path } }', '$& , onDeny: { body: "${out.reason}" }');
  for (const check of [() => deny(code, reason as never), () => ({ ...deny(code, ''), reason }) as never]) {
    const { http } = await engineOf(policy, { h: { check } });
    const verdict = await http();
    expect(verdict).toMatchObject({ outcome: 'deny', body: says });
    expect(verdict.reasons).toMatchObject([{ text: `h refused: ${says}` }]);
  }
});

test('an error outside of any rule is an error of the call, counted, and logged once a minute', async () => {
  const { engine, logged } = await engineOf(POLICY, {});
  const wire = new Proxy({}, { get: boom }) as never;
  for (let call = 0; call < 3; call += 1)
    expect(await engine.check('http', wire, PATIENT)).toMatchObject({ outcome: 'error', code: 14 });
  expect(await engine.limit([wire], PATIENT)).toMatchObject({ outcome: 'error' });
  expect(engine.report('log', wire)).toBeUndefined();
  expect(engine.meters.ofCall('http').outcomes.error).toBe(3);
  expect(logged.filter(({ message }) => message === 'internal error while deciding a call')).toHaveLength(1);
});

describe('the log tells of a backend', () => {
  test('that goes down, with the cause, once, and when it is back', async () => {
    let isAway = true;
    // Beside other work 20 calls may take longer than the breaker's window; open, it would refuse the last call.
    const policy = POLICY.replace('{ script: h }', '{ script: h }, breaker: { failures: 100 }');
    const { http, engine, logged } = await engineOf(policy, {
      h: {
        check: () => {
          if (isAway) throw new Unavailable('connection refused');
          return { kind: 'allow', validForMs: 0, uses: 1, output: undefined };
        },
      },
    });
    for (let call = 0; call < 20; call += 1) await http();
    expect(engine.handlers()[0]).toMatchObject({ name: 'h', why: '[check-script/h] connection refused' });
    isAway = false;
    await http();
    const told = logged
      .filter(({ fields }) => fields['handler'] === 'h')
      .map(({ level, message, fields }) => [level, message, fields['why']]);
    expect(told).toEqual([
      ['warn', 'a handler does not answer', '[check-script/h] connection refused'],
      ['info', 'a handler answers again', undefined],
    ]);
    expect(engine.handlers()[0]).toMatchObject({ ready: true, why: undefined });
  });

  test('whose breaker opens: it is not ready, and the page says why', async () => {
    const { http, engine, logged } = await engineOf(
      POLICY.replace(
        '{ script: h }',
        '{ script: h }, deadline: 10ms, breaker: { failures: 2, openFor: 5s, window: 1ms }',
      ),
      { h: { check: () => new Promise(() => {}) } },
    );
    await http();
    await pause(5);
    await http();
    expect(engine.handlers()[0]).toMatchObject({
      ready: false,
      breaker: 'open',
      why: expect.stringMatching(/^its breaker is open: \[check-script\/h\] has not answered within 10 ms$/) as string,
    });
    expect(logged.map(({ message }) => message)).toContain(
      'a handler does not answer: its breaker is open, and it is not asked for a while',
    );
  });
});

describe('the metrics', () => {
  test('calls and entries without a policy', async () => {
    const { engine, http, limit, log } = await engineOf(POLICY, {});
    await engine.drain();
    await http();
    await limit([{ a: '1' }]);
    await log();
    expect([
      engine.meters.ofCall('http').withoutPolicy,
      engine.meters.ofCall('limit').withoutPolicy,
      engine.meters.ofCall('log').withoutPolicy,
    ]).toEqual([1, 1, 1]);
  });

  test('a rule that refuses several descriptors of one call refuses one call', async () => {
    const { limit, engine } = await engineOf(
      'rules: [{ name: no, deny: {}, calls: [limit] }, { name: maybe, deny: {}, calls: [limit], mode: shadow }]',
      {},
    );
    expect(await limit([{ a: '1' }, { a: '2' }, { a: '3' }])).toMatchObject({ outcome: 'deny' });
    expect([engine.meters.ofRule('no').denied, engine.meters.ofRule('maybe').shadow]).toEqual([1, 1]);
  });

  test('nothing of a policy that was refused', async () => {
    const { engine, load } = await engineOf(POLICY, { bad: { open: boom } });
    await expect(
      engine.use(
        await load(
          'handlers: { h2: { adapter: check-script, config: { script: h } }, bad: { adapter: check-script, config: { script: bad } } }\nrules: [{ name: new, check: { handler: h2, input: {} } }, { name: newer, check: { handler: bad, input: {} } }]',
        ),
      ),
    ).rejects.toThrow('boom');
    expect([...engine.meters.read().rules.keys()]).not.toContain('new');
    expect([...engine.meters.read().handlers.keys()].toSorted()).toEqual(['e', 'h', 'out', 'q']);
  });
});

test('a call of many descriptors costs in proportion to them', async () => {
  const { limit } = await engineOf(
    'handlers: { q: { adapter: quota-script, config: { script: q } } }\nrules: [{ name: each, quota: { handler: q, limit: 5, per: 1m, key: [ratelimit.descriptor.a] } }]',
    {},
  );
  // The least of several runs, in CPU time, since the machine of the tests is busy.
  const costOf = async (length: number): Promise<number> => {
    const descriptors = Array.from({ length }, (_, at) => ({ a: String(at) }));
    let least = Infinity;
    for (let round = 0; round < 5; round++) {
      const before = process.cpuUsage();
      const { statuses } = await limit(descriptors);
      const { user, system } = process.cpuUsage(before);
      expect(statuses).toHaveLength(length);
      least = Math.min(least, user + system);
    }
    return least;
  };
  await costOf(4000); // compiles
  // 5 times as many: 25 times the work if it grew with the square.
  expect((await costOf(20_000)) / (await costOf(4000))).toBeLessThan(12);
});

test.each(['bucket', 'sink'] as const)(
  'an adapter whose %s(rule) is async is refused with the rule',
  async (method) => {
    const adapter = defineAdapter({
      name: 'quota-late',
      summary: 'Makes it too late.',
      config: z.strictObject({}),
      serves: { quota: { algorithms: ['fixed'] }, report: { input: 'any' } },
      open: async () => ({
        bucket: () => (method === 'bucket' ? Promise.reject(new Error('late')) : 1),
        charge: () => [],
        sink: async () => (method === 'sink' ? Promise.reject(new Error('late')) : 1),
        write: () => undefined,
      }),
    });
    const rule =
      method === 'bucket' ? 'quota: { handler: h, limit: 1, per: 1m, key: [] }' : 'report: { handler: h, input: {} }';
    const policy = `handlers: { h: { adapter: quota-late } }\nrules: [{ name: r, ${rule} }]\n`;
    await expect(engineOf(policy, {}, {}, [adapter])).rejects.toThrow(
      `[quota-late/h] ${method}(rule) returned a promise; it must return, at once, what ${method === 'bucket' ? 'charge()' : 'write()'} gets`,
    );
  },
);
