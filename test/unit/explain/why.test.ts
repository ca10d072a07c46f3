import { expect, test } from 'vitest';
import { deny } from '../../../src/adapters/contract.ts';
import { whyOf, type Why } from '../../../src/explain/why.ts';
import { engineOf, pause, type TestEngine } from '../core/engine-of.ts';

const POLICY = `handlers:
  plans: { adapter: enrich-script, config: { script: plans } }
  door: { adapter: check-script, config: { script: door } }
  counts: { adapter: quota-script, config: { script: counts } }
rules:
  - name: plan
    enrich: { handler: plans, input: { key: request.host }, as: my.plan }
  - name: odd
    match: request.headers["x-role"] == "guest"
    onError: allow
    deny: { status: 403 }
  - name: tried
    match: request.url_path == "/limited" || request.url_path == "/other"
    mode: shadow
    deny: { status: 410 }
  - name: door
    match: request.url_path == "/door" && request.headers[?"authorization"].hasValue()
    check: { handler: door, input: { value: 'request.headers["authorization"]' } }
  - name: per-host
    match: request.url_path == "/limited"
    quota: { handler: counts, limit: 1, per: 1m, key: [request.host] }
`;

const opened = (policy = POLICY): Promise<TestEngine> =>
  engineOf(policy, {
    plans: { lookup: () => ({ plan: 'gold' }) },
    door: {
      check: async () => {
        await pause(20);
        return deny(7, 'Bearer abcdef is not on the list');
      },
    },
    counts: { charge: (asks) => asks.map(({ limit }) => ({ granted: false, limit, remaining: 0, resetMs: 500 })) },
  });

async function whyOfId({ engine }: TestEngine, id: string): Promise<Why | undefined> {
  const found = engine.kept(id);
  return found && whyOf(found, (call, wires) => engine.quotas('inspect', call, wires));
}

const named = (why: Why | undefined, name: string): Why['rules'][number] | undefined =>
  why?.rules.find((rule) => rule.name === name);

test('names the part of each condition that decided, the values that were read, and the time of a handler', async () => {
  const run = await opened();
  const headers = new Map([['authorization', 'Bearer abcdef']]);
  const { id, outcome } = await run.http({
    'request.path': '/door',
    'request.host': 'shop',
    'request.headers': headers,
  });
  const why = await whyOfId(run, id);
  expect(outcome).toBe('deny');
  expect(why?.rules.map(({ name, result, decided }) => [name, result, decided])).toEqual([
    ['plan', 'applies', false],
    ['odd', 'failed', false],
    ['tried', 'does not apply', false],
    ['door', 'applies', true],
    ['per-host', 'does not apply', false],
  ]);
  expect(named(why, 'plan')).toMatchObject({ match: true, why: null, action: 'enrich' });
  expect(named(why, 'odd')?.why).toMatch(/^request\.headers\["x-role"\]: no such key/);
  expect(named(why, 'tried')).toMatchObject({ mode: 'shadow', values: { 'request.url_path': '/door' } });
  expect(named(why, 'door')).toMatchObject({
    at: 'p.yaml:16',
    why: 'request.url_path == "/door" && request.headers[?"authorization"].hasValue()',
    values: { 'request.url_path': '/door', 'request.headers': { authorization: '(secret)' } },
  });
  expect(why?.answers).toEqual([
    { rule: 'plan', handler: 'plans', says: 'values', code: null, reason: null, tookMs: null },
    {
      rule: 'door',
      handler: 'door',
      says: 'deny',
      code: 7,
      reason: '(secret) is not on the list',
      tookMs: expect.any(Number) as unknown,
    },
  ]);
  expect(why?.answers[1]?.tookMs).toBeGreaterThan(15);
  expect(why?.limits).toEqual([]);
});

test('of a quota it has the answer then, and the counter now', async () => {
  const run = await opened();
  const { id } = await run.http({ 'request.path': '/limited', 'request.host': 'shop' });
  const why = await whyOfId(run, id);
  expect(named(why, 'per-host')).toMatchObject({ result: 'applies', decided: true });
  expect(named(why, 'tried')).toMatchObject({ result: 'applies', why: 'request.url_path == "/limited"' });
  expect(why?.verdict.shadow).toEqual(['tried']);
  expect(why?.answers.at(-1)).toMatchObject({ rule: 'per-host', says: 'over', reason: '0 of 1 left', tookMs: null });
  expect(why?.limits).toMatchObject([{ rule: 'per-host', applies: true, limit: 1, state: { remaining: 0 } }]);
});

test('is known by the id of the request, also after its policy was replaced, without its rules', async () => {
  const run = await opened();
  await run.http({ 'request.path': '/limited', 'request.host': 'shop', 'request.id': 'r-1' });
  await run.engine.use(await run.load(POLICY.replace('status: 410', 'status: 404')));
  await pause(20);
  expect(await whyOfId(run, 'r-1')).toMatchObject({ verdict: { rule: 'per-host' }, rules: [], answers: [] });
  expect(await whyOfId(run, 'r-2')).toBeUndefined();
});

test('of a long policy it shows the rules that the index does not exclude, and how many are left out', async () => {
  const others = Array.from(
    { length: 1000 },
    (_, at) => `  - { name: r-${at}, match: 'request.url_path == "/${at}"', deny: {} }`,
  );
  const run = await engineOf(`rules:\n${others.join('\n')}\n`, {});
  const { id } = await run.http({ 'request.path': '/7' });
  const why = await whyOfId(run, id);
  expect(why?.rules.map(({ name }) => name)).toEqual(['r-7']);
  expect(why?.omitted).toBe(999);
});

test('once an operator looks at verdicts, the log entry of a refusal is found by the id of the verdict', async () => {
  const run = await opened();
  const entry = (id: string, outcome: string, code: number): void =>
    void run.log({
      'request.path': '/a?token=abcdef',
      'response.code': code,
      'verdict.id': id,
      'verdict.outcome': outcome,
      'verdict.rule': 'door',
    });
  entry('v-0', 'deny', 403);
  run.engine.verdicts();
  entry('v-1', 'deny', 403);
  entry('v-2', 'deny', 200);
  expect(run.engine.logEntry('v-1')).toMatchObject({ 'request.path': '/a?token=(secret)', 'response.code': 403 });
  expect([run.engine.logEntry('v-0'), run.engine.logEntry('v-2')]).toEqual([undefined, undefined]);
});
