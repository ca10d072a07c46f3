/** Decision calls: what was decided, for the report rules that name them. */
import { expect, test, vi } from 'vitest';
import { deny, type ReportEntry } from '../../../src/adapters/contract.ts';
import { MAX_WAITING } from '../../../src/core/history/decisions.ts';
import { engineOf, type Script } from './engine-of.ts';

interface Sink extends Script {
  readonly inputs: Readonly<Record<string, unknown>>[];
  readonly entries: ReportEntry[];
}
function sink(): Sink {
  const inputs: Readonly<Record<string, unknown>>[] = [];
  const entries: ReportEntry[] = [];
  return {
    inputs,
    entries,
    write: (written) => {
      for (const entry of written) {
        entries.push(entry);
        inputs.push(entry.input);
      }
    },
  };
}

const policy = (input: string, { rule = '', settings = '{}' } = {}): string =>
  `
settings: ${settings}
attributes:
  my.tier: { is: 'request.headers[?"x-tier"].orValue("none")' }
  my.refused: { is: 'verdict.?outcome.orValue("-") == "deny"' }
handlers:
  audit: { adapter: log-script, config: { script: audit } }
  backend: { adapter: check-script, config: { script: backend } }
  facts: { adapter: enrich-script, config: { script: facts } }
rules:
  - { name: facts, enrich: { handler: facts, input: { key: request.path }, as: my.facts } }
  - name: closed
    match: request.url_path == "/closed" && my.tier != "gold"
    deny: { status: 423 }
  - { name: would-close, match: request.url_path == "/shadow", deny: {}, mode: shadow }
  - { name: asks, match: request.url_path == "/asks", check: { handler: backend, input: { value: origin.ip } } }
  - { name: plans, match: 'has(my.facts.plan) && my.facts.plan == "none"', deny: {} }
  - { name: decided, calls: [decision], report: { handler: audit, input: ${input} }${rule} }
`;

test('a denial and a failure are reported, and an allowed call is not', async () => {
  const audit = sink();
  const { http, engine } = await engineOf(
    policy(
      '{ id: verdict.id, rule: verdict.rule, outcome: verdict.outcome, status: verdict.status, at: verdict.at, path: request.path, tier: my.tier, refused: my.refused, call: verdict.call, reasons: verdict.reasons }',
    ),
    {
      audit,
      backend: {
        check: () => {
          throw new Error('broken');
        },
      },
    },
  );
  const denied = await http({ 'request.path': '/closed', 'request.headers': { 'x-tier': 'iron' } });
  const failed = await http({ 'request.path': '/asks', 'origin.ip': '203.0.113.9' });
  await http({ 'request.path': '/open' });
  expect(audit.inputs).toEqual([]);
  await engine.flush();
  expect(audit.inputs).toEqual([
    {
      id: denied.id,
      rule: 'closed',
      outcome: 'deny',
      status: 423,
      at: 'p.yaml:12',
      path: '/closed',
      tier: 'iron',
      refused: true,
      call: 'http',
      reasons: ['closed: its match applies'],
    },
    expect.objectContaining({
      id: failed.id,
      rule: 'asks',
      outcome: 'failed',
      status: 503,
      reasons: [expect.stringMatching(/^asks: .*broken/)],
    }),
  ]);
});

test('a sample of allowed calls is reported: by the setting, by the rule, by a value', async () => {
  const count = async (rule: string, settings: string): Promise<number> => {
    const audit = sink();
    const { http, engine } = await engineOf(policy('{ id: verdict.id }', { rule, settings }), { audit });
    for (let call = 0; call < 1000; call++)
      await http({ 'request.path': `/open/${call}`, 'request.headers': { 'x-user': String(call) } });
    await engine.flush();
    return audit.inputs.length;
  };
  expect(await count('', '{}')).toBe(0);
  expect(await count('', '{ decisions: { sample: 100 } }')).toBe(1000);
  expect(await count(', sample: { percent: 0 }', '{ decisions: { sample: 100 } }')).toBe(0);
  const bySetting = await count('', '{ decisions: { sample: 20 } }');
  expect(bySetting > 100 && bySetting < 320, String(bySetting)).toBe(true);
  const byValue = ', sample: { percent: 20, by: \'request.headers["x-user"]\' }';
  const first = await count(byValue, '{}');
  expect(first > 100 && first < 320, String(first)).toBe(true);
  expect(await count(byValue, '{}')).toBe(first);
});

test('denials are reported whatever a rule samples', async () => {
  const audit = sink();
  const { http, engine } = await engineOf(policy('{ id: verdict.id }', { rule: ', sample: { percent: 0 }' }), {
    audit,
  });
  for (let call = 0; call < 50; call++) await http({ 'request.path': '/closed' });
  await engine.flush();
  expect(audit.inputs).toHaveLength(50);
});

test('outputs of enrich rules are those of the call; their handlers are not asked again', async () => {
  const audit = sink();
  let asked = 0;
  const facts: Script = {
    lookup: () => {
      asked++;
      return { plan: 'none' };
    },
  };
  const { http, engine } = await engineOf(policy('{ plan: my.facts.plan, rule: verdict.rule }'), { audit, facts });
  await http({ 'request.path': '/a' });
  await engine.flush();
  expect([asked, audit.inputs]).toEqual([1, [{ plan: 'none', rule: 'plans' }]]);
});

test('the attributes that were looked at hide secrets and what the policy masks', async () => {
  const audit = sink();
  const settings = '{ decisions: { mask: [origin.ip, \'request.headers["x-tier"]\', request.url_path] } }';
  const backend: Script = {
    check: ({ value }) => deny(7, `not ${String(value)}`),
  };
  const { http, engine } = await engineOf(
    policy('{ attributes: verdict.attributes, reasons: verdict.reasons, record: verdict.record }', { settings }),
    { audit, backend },
  );
  await http({
    'request.path': '/asks?token=abc',
    'origin.ip': '203.0.113.9',
    'request.headers': { 'x-tier': 'iron', authorization: 'Bearer abcdef', 'x-a': '1' },
  });
  await http({ 'request.path': '/closed', 'request.headers': { 'x-tier': 'iron', authorization: 'Bearer abcdef' } });
  await engine.flush();
  const shown = JSON.stringify(audit.inputs, (_, value: unknown) =>
    value instanceof Map ? Object.fromEntries(value) : value,
  );
  for (const hidden of ['abcdef', 'token=abc', 'iron', '203.0.113.9']) expect(shown, hidden).not.toContain(hidden);
  expect(shown).toContain('"request.url_path":"(masked)"');
  expect(shown).toContain('"reasons":["asks: backend refused: not (masked)"]');
  expect(shown).toContain('"my.tier":"(secret)"');
});

test('a record has everything in one map', async () => {
  const audit = sink();
  const { http, engine } = await engineOf(policy('{ decision: verdict.record }'), { audit });
  const { id } = await http({ 'request.path': '/closed', 'request.headers': { 'x-request-id': 'r-1' } });
  await engine.flush();
  const record = audit.inputs[0]?.['decision'];
  expect(record).toMatchObject({
    id,
    call: 'http',
    outcome: 'deny',
    rule: 'closed',
    at: 'p.yaml:12',
    requestId: 'r-1',
    path: '/closed',
    attributes: { 'request.url_path': '/closed', 'my.tier': 'none' },
  });
});

test('of a rate limit call with several descriptors, the decision has the one that is over', async () => {
  const audit = sink();
  const { limit, engine } = await engineOf(
    `
handlers:
  q: { adapter: quota-script, config: { script: q } }
  audit: { adapter: log-script, config: { script: audit } }
rules:
  - { name: few, quota: { handler: q, limit: 1, per: 1m, key: [ratelimit.descriptor.user] } }
  - { name: decided, calls: [decision], match: verdict.call == "limit", report: { handler: audit, input: { rule: verdict.rule, status: verdict.status, user: ratelimit.descriptor.user } } }
`,
    {
      audit,
      q: {
        charge: (asks) =>
          asks.map(({ key, limit: most }) => ({
            granted: !JSON.stringify(key).includes('bob'),
            limit: most,
            remaining: 0,
            resetMs: 1000,
          })),
      },
    },
  );
  await limit([{ user: 'ann' }, { user: 'bob' }]);
  await engine.flush();
  expect(audit.inputs).toEqual([{ rule: 'few', status: 429, user: 'bob' }]);
});

test('10 000 denials at once with a backend that hangs: answers do not wait, memory is bounded, the rest is counted', async () => {
  let free: () => void = () => {};
  const hangs = new Promise<void>((resolve) => {
    free = resolve;
  });
  let written = 0;
  const { http, engine, logged } = await engineOf(
    policy('{ decision: verdict.record }'),
    {
      audit: {
        write: async (entries) => {
          await hangs;
          written += entries.length;
        },
      },
    },
    { reports: { maxWaiting: 1000, maxWaitingBytes: 16 * 1024 * 1024 } },
  );
  for (let call = 0; call < MAX_WAITING.count + 500; call++)
    expect(http({ 'request.path': '/closed' })).toMatchObject({ outcome: 'deny' });
  const family = engine.families.find(({ name }) => name === 'sluice_decisions_dropped_total');
  expect(family?.read()).toEqual([{ labels: {}, value: 500 }]);
  await vi.waitFor(() => expect(engine.meters.ofRule('decided').dropped).toBeGreaterThan(8000), 20_000);
  free();
  await engine.flush();
  const { dropped } = engine.meters.ofRule('decided');
  expect(written + dropped).toBe(MAX_WAITING.count);
  expect(logged.filter(({ message }) => message.startsWith('decisions dropped'))).toHaveLength(1);
  expect(logged.filter(({ message }) => message.startsWith('reports dropped'))).toHaveLength(1);
});

test('a policy that is replaced reports what it decided, by its own rules', async () => {
  const audit = sink();
  const { http, engine, load } = await engineOf(policy('{ revision: verdict.revision, by: \'"old"\' }'), { audit });
  await http({ 'request.path': '/closed' });
  const next = await load(policy('{ revision: verdict.revision, by: \'"new"\' }'));
  const [, denied] = [await engine.use(next), await http({ 'request.path': '/closed' })];
  expect(denied).toMatchObject({ outcome: 'deny' });
  await engine.flush();
  expect(audit.inputs.map(({ by }) => by)).toEqual(['old', 'new']);
  expect(audit.inputs[1]?.['revision']).toBe(next.revision);
});

test('a drain writes what was decided', async () => {
  const audit = sink();
  const { http, engine } = await engineOf(policy('{ id: verdict.id }'), { audit });
  for (let call = 0; call < 200; call++) void http({ 'request.path': '/closed' });
  await engine.drain();
  expect(audit.inputs).toHaveLength(200);
});
