/** Recorded calls, decided again. */
import { describe, expect, test } from 'vitest';
import { allow, deny, Unavailable } from '../../../src/adapters/contract.ts';
import { lineOf } from '../../../src/traffic/write-call.ts';
import { engineOf, type Scripts } from '../core/engine-of.ts';
import { builtInPolicy, callAt, replayOf, T0, verdictOf } from './replaying.ts';
import { fileOf, observed, readAll } from './recording.ts';

describe('a handler that needs a backend', () => {
  const POLICY = `
handlers:
  offices: { adapter: check-script, config: { script: offices } }
  plans: { adapter: enrich-script, config: { script: plans } }
rules:
  - name: plan
    match: has(source.principal)
    calls: [http, limit]
    enrich: { handler: plans, input: { key: source.principal }, as: my.account }
  - name: only-offices
    check: { handler: offices, input: { value: request.path } }
  - { name: no-gold, match: 'has(my.account.plan) && my.account.plan == "gold"', deny: { status: 402 } }
`;
  const SCRIPTS: Scripts = {
    offices: {
      check: ({ value }) => {
        if (value === '/away') throw new Unavailable('it is away');
        return value === '/no' ? deny(16, `${String(value)} is refused`) : allow();
      },
    },
    plans: { lookup: ({ key }) => (key === 'nobody' ? undefined : { plan: String(key) }) },
  };

  /** The calls as they were recorded, and the policy. */
  async function recorded(policy: string, ...requests: readonly Readonly<Record<string, unknown>>[]) {
    const made = await engineOf(policy, SCRIPTS);
    const decided = observed(made);
    for (const request of requests) await made.http(request);
    const lines = decided.map((one, at) => lineOf(one, { timeMs: T0 + at }));
    const { calls } = await readAll([await fileOf(lines.join('\n'))]);
    return { policy: await made.load(policy), calls: calls.map(({ call }) => call) };
  }

  test('answers as it is recorded, and so the verdict is the same', async () => {
    const { policy, calls } = await recorded(
      POLICY,
      { 'request.path': '/yes' },
      { 'request.path': '/no' },
      { 'request.path': '/away' },
      { 'source.principal': 'gold' },
      { 'source.principal': 'nobody' },
    );
    expect(calls.map(({ verdict }) => verdict?.rule)).toEqual([null, 'only-offices', 'only-offices', 'no-gold', null]);
    const replay = await replayOf(policy);
    for (const call of calls) {
      const { outcome, rule = null, reasons } = await replay.decide(call);
      expect({ outcome, rule, reasons: reasons.length }).toEqual({
        outcome: call.verdict?.outcome,
        rule: call.verdict?.rule,
        reasons: call.verdict?.reasons.length,
      });
    }
    expect(replay.unanswered).toEqual([]);
  });

  test('fails by the onError of a rule of which the record has no answer, and each such call is counted', async () => {
    const { calls } = await recorded(POLICY, { 'request.path': '/yes' }, { 'request.path': '/yes' });
    const renamed = await engineOf(POLICY.replace('name: only-offices', 'name: another'), SCRIPTS);
    const replay = await replayOf(await renamed.load(POLICY.replace('name: only-offices', 'name: another')));
    for (const call of calls) expect(await verdictOf(replay, call)).toBe('failed by another');
    expect(replay.unanswered).toEqual([{ rule: 'another', handler: 'offices', calls: 2 }]);
  });

  test('has no recorded answer for a call for which it was not asked', async () => {
    const { calls } = await recorded(POLICY, { 'source.principal': 'nobody' }, { 'request.path': '/yes' });
    expect(calls.map(({ requests }) => requests[0]?.filled)).toEqual([
      { 'my.account.plan': null, 'my.account.limit': null },
      {},
    ]);
    const wider = POLICY.replace('    match: has(source.principal)\n    calls: [http, limit]\n', '').replace(
      'key: source.principal',
      'key: request.path',
    );
    const replay = await replayOf(await (await engineOf(wider, SCRIPTS)).load(wider));
    for (const call of calls) expect(await verdictOf(replay, call)).toBe('allow');
    expect(replay.unanswered).toEqual([{ rule: 'plan', handler: 'plans', calls: 1 }]);
  });

  test('is asked itself where that is wanted, without a record', async () => {
    const { policy, calls } = await recorded(POLICY, { 'request.path': '/yes' });
    const [call] = calls;
    if (call === undefined) throw new Error('no call');
    const asked: unknown[] = [];
    const replay = await replayOf(policy, {
      ask: async () => ({
        handler: { check: () => async (input) => (asked.push(input), deny(7, 'no')), lookup: () => () => undefined },
        readiness: () => ({ ready: true, why: undefined }),
        close: async () => {},
      }),
    });
    const [request] = call.requests;
    if (request === undefined) throw new Error('no request');
    expect(await verdictOf(replay, call)).toBe('allow');
    expect(await verdictOf(replay, { ...call, requests: [{ ...request, answers: {} }] })).toBe('deny by only-offices');
    expect(asked).toEqual([{ value: '/yes' }]);
  });

  test('fails for each call that recorded a failure, and for no other', async () => {
    const paths = [...Array.from({ length: 200 }, () => '/away'), '/yes'];
    const { policy, calls } = await recorded(
      POLICY.replace('script: offices }', 'script: offices }, breaker: { failures: 100000 }'),
      ...paths.map((path) => ({ 'request.path': path })),
    );
    const replay = await replayOf(policy);
    const verdicts: string[] = [];
    for (const call of calls) verdicts.push(await verdictOf(replay, { ...call, timeMs: call.timeMs * 2 }));
    expect(verdicts.filter((verdict) => verdict === 'failed by only-offices')).toHaveLength(200);
    expect(verdicts.at(-1)).toBe('allow');
  });

  test('answers each descriptor of a limit call as recorded for it', async () => {
    const policy = `
handlers: { plans: { adapter: enrich-script, config: { script: plans } } }
rules:
  - name: plan
    match: '"user" in ratelimit.descriptor'
    calls: [limit]
    enrich: { handler: plans, input: { key: 'ratelimit.descriptor["user"]' }, as: my.account }
  - { name: no-gold, match: 'has(my.account.plan) && my.account.plan == "gold"', calls: [limit], deny: {} }
`;
    const made = await engineOf(policy, SCRIPTS);
    const decided = observed(made);
    await made.limit([{ user: 'silver' }, { path: '/a' }, { user: 'gold' }]);
    await made.limit([{ user: 'gold' }, { user: 'silver' }]);
    const lines = decided.map((one) => lineOf(one, { timeMs: T0 }));
    const { calls } = await readAll([await fileOf(lines.join('\n'))]);
    const replay = await replayOf(await made.load(policy));
    const over: (readonly boolean[])[] = [];
    for (const { call } of calls) {
      const verdict = await replay.decide(call);
      if ('statuses' in verdict) over.push(verdict.statuses.map((status) => status.over));
    }
    expect(over).toEqual([
      [false, false, true],
      [true, false],
    ]);
  });
});

describe('an adapter that needs no backend', () => {
  const LIST = (values: string) => `
handlers: { offices: { adapter: check-list, config: { values: [${values}] } } }
rules:
  - { name: only-offices, check: { handler: offices, input: { value: 'request.headers["authorization"]' } } }
`;
  const answers = { 'only-offices': { handler: 'offices', says: 'allow' } } as const;

  test('is asked again, since its config may be what changes', async () => {
    const call = callAt(0, { 'request.headers': { authorization: 'two' } }, { answers });
    expect(await verdictOf(await replayOf(LIST('one, two')), call)).toBe('allow');
    expect(await verdictOf(await replayOf(LIST('one')), call)).toBe('deny by only-offices');
  });

  test('answers as recorded where its input is hidden', async () => {
    const hidden = { 'request.headers': { authorization: '(secret)' } };
    const replay = await replayOf(LIST('one'));
    expect(await verdictOf(replay, callAt(0, hidden, { answers }))).toBe('allow');
    expect(replay.unanswered).toEqual([]);
    expect(await verdictOf(replay, callAt(1, hidden))).toBe('failed by only-offices');
    expect(replay.unanswered).toEqual([{ rule: 'only-offices', handler: 'offices', calls: 1 }]);
  });
});

describe('quotas', () => {
  const QUOTA = (algorithm: string, adapter = 'quota-memory, config: {}') => `
handlers: { limits: { adapter: ${adapter} } }
rules: [{ name: three, quota: { handler: limits, limit: 3, per: 1m, key: [source.ip], ${algorithm} } }]
`;
  const run = async (policy: string, times: readonly number[], countsQuotas = true): Promise<readonly string[]> => {
    const replay = await replayOf(policy, { countsQuotas });
    const all: string[] = [];
    for (const time of times) all.push((await verdictOf(replay, callAt(time))).replace(' by three', ''));
    return all;
  };
  const TIMES = [0, 1000, 2000, 3000, 59_000, 61_000];

  test('count from zero, by the recorded times', async () => {
    expect(await run(QUOTA('algorithm: fixed'), TIMES)).toEqual(['allow', 'allow', 'allow', 'deny', 'deny', 'allow']);
  });

  test('of a store in Redis are counted in memory, so that nothing is charged', async () => {
    const redis = QUOTA('algorithm: fixed', 'quota-redis, config: { url: "redis://127.0.0.1:1" }');
    expect(await run(redis, TIMES)).toEqual(['allow', 'allow', 'allow', 'deny', 'deny', 'allow']);
  });

  test('grant all leases, since no record has the end of a request', async () => {
    expect(new Set(await run(QUOTA('algorithm: concurrency, once: request.path'), TIMES))).toEqual(new Set(['allow']));
  });

  test('grant everything where they are not counted', async () => {
    expect(new Set(await run(QUOTA('algorithm: fixed'), TIMES, false))).toEqual(new Set(['allow']));
  });
});

test('a percentage without a key draws alike in each replay', async () => {
  const policy = 'rules: [{ name: half, mode: { percent: 50 }, deny: {} }]';
  const draw = async (): Promise<readonly string[]> => {
    const replay = await replayOf(policy);
    const all: string[] = [];
    for (let at = 0; at < 100; at++) all.push(await verdictOf(replay, callAt(at)));
    return all;
  };
  const first = await draw();
  expect(first.filter((verdict) => verdict === 'allow').length).toBeGreaterThan(20);
  expect(first.filter((verdict) => verdict !== 'allow').length).toBeGreaterThan(20);
  expect(await draw()).toEqual(first);
});

test('reports are not written, and their handlers not opened', async () => {
  const policy = await builtInPolicy(`
handlers: { audit: { adapter: log-file, config: { path: /does/not/exist/audit.log } } }
rules:
  - { name: audit, calls: [http, decision], report: { handler: audit, input: { path: request.path } } }
`);
  const replay = await replayOf(policy);
  expect(await verdictOf(replay, callAt(0))).toBe('allow');
});
