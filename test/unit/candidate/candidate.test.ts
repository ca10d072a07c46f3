/** Two policies in one thread, on the same calls: real engines, real handlers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import {
  type Adapter,
  allow,
  defineAdapter,
  deny,
  PERMISSION_DENIED,
  type QuotaAsk,
  Unavailable,
} from '../../../src/adapters/contract.ts';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { openHandler } from '../../../src/adapters/open-handler.ts';
import { createPluginMetrics } from '../../../src/adapters/plugin-metrics.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { plainRequest } from '../../../src/attributes/plain-request.ts';
import { Candidate } from '../../../src/candidate/candidate.ts';
import type { ComparisonReport } from '../../../src/candidate/report.ts';
import { NO_CALLER } from '../../../src/core/call.ts';
import { createEngine } from '../../../src/core/engine.ts';
import type { OpenHandlers } from '../../../src/core/handlers/live-handler.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import type { RunningEngine } from '../../../src/core/running-engine.ts';
import { SILENT } from '../../../src/log/log.ts';
import { z } from 'zod';
import quotaMemory from '../../../plugins/quota-memory/adapter.ts';

let opened: string[] = [];
let closed: string[] = [];
let asked: string[] = [];

/** Refuses /refused; /throws throws, /hangs never answers, /gone has no backend. */
const checkPath = defineAdapter({
  name: 'check-path',
  summary: 'Refuses paths.',
  config: z.strictObject({ name: z.string().default('one').describe('Of the handler.') }),
  serves: { check: { input: { path: 'string' } } },
  async open({ name }) {
    opened.push(name);
    return {
      check:
        ({ rule }) =>
        ({ path }) => {
          asked.push(`${rule} ${name} ${path}`);
          if (path === '/throws') throw new TypeError('a fault');
          if (path === '/gone') throw new Unavailable('its backend is away');
          if (path === '/hangs') return new Promise(() => undefined);
          return path === '/refused' ? deny(PERMISSION_DENIED, 'refused') : allow();
        },
      close: () => void closed.push(name),
    };
  },
});

/** Counts what is charged, and what is looked at; unavailable while `isAway`. */
let charges: QuotaAsk['kind'][] = [];
let isAway = false;
const quotaCounting = {
  ...quotaMemory,
  name: 'quota-counting',
  async open(config: never, host: never) {
    const handler = await quotaMemory.open(config, host);
    const charge = handler.charge?.bind(handler);
    return {
      ...handler,
      bucket: handler.bucket?.bind(handler),
      charge: (asks: QuotaAsk<never>[], call: never) => {
        charges.push(...asks.map(({ kind }) => kind));
        if (isAway) throw new Unavailable('redis is away');
        return charge?.(asks, call);
      },
    };
  },
} as unknown as Adapter;

const registry = createRegistry([checkPath, quotaCounting]);
const openHandlers: OpenHandlers = (spec) =>
  openHandler(spec.implementation, spec, {
    log: SILENT,
    metrics: createPluginMetrics(SILENT),
    shared: createSharedMemory(),
  });

async function policyOf(source: string): Promise<Policy> {
  const { policy, findings } = await loadPolicyText(new Map([['p.yaml', source]]), { adapters: registry, env: {} });
  if (policy === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
  return policy;
}

let engine: RunningEngine;
let candidate: Candidate;
afterEach(async () => {
  await candidate.close();
  await engine.drain();
  opened = [];
  closed = [];
  asked = [];
  charges = [];
  isAway = false;
});

async function beside(inForce: string, next: string, share = 1): Promise<void> {
  engine = createEngine({ openHandlers });
  await engine.use(await policyOf(inForce));
  candidate = new Candidate({ engine, openHandlers, log: SILENT, share });
  (await candidate.prepare(await policyOf(next))).commit();
}

async function http(path: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const { attributes } = engine.snapshot?.policy ?? (await policyOf('rules: [{ name: a, deny: {} }]'));
  const request = { 'request.method': 'GET', 'request.path': path, 'request.host': 'h', 'request.headers': headers };
  return (await engine.check('http', plainRequest(attributes, request, 'http'), NO_CALLER)).outcome;
}

async function reportWhen(isReady: (report: ComparisonReport) => boolean): Promise<ComparisonReport> {
  for (;;) {
    const report = await candidate.report();
    if (report !== undefined && isReady(report)) return report;
    await sleep(2);
  }
}
/** Waits for the calls to be compared, and for no more of them. */
const compared = (calls: number): Promise<ComparisonReport> =>
  reportWhen((report) => report.compared + report.skipped === calls);
const rows = ({ differences }: ComparisonReport): string[] =>
  differences.map(
    ({ ruleNow, ruleThen, outcomeNow, outcomeThen, count }) =>
      `${outcomeNow} by ${ruleNow}, ${outcomeThen} by ${ruleThen}: ${count}`,
  );

const quota = (limit: number | string, more = ''): string =>
  `handlers: { counts: { adapter: quota-counting } }
rules:
  - { name: limited, quota: { handler: counts, key: [request.host], limit: ${limit}, per: 1h }${more} }
`;

test('a handler that is equal is shared, another one is opened and closed', async () => {
  const policy = (config: string): string =>
    `handlers: { paths: { adapter: check-path, config: ${config} } }
rules: [{ name: ask, check: { handler: paths, input: { path: request.path } } }]`;
  await beside(policy('{}'), `${policy('{}')}\n# another revision`);
  expect([await http('/a'), await http('/refused')]).toEqual(['allow', 'deny']);
  expect(await compared(2)).toMatchObject({ differing: 0 });
  expect(opened).toEqual(['one']);
  expect(asked.toSorted()).toEqual(['ask one /a', 'ask one /a', 'ask one /refused', 'ask one /refused']);
  (await candidate.prepare(await policyOf(policy('{ name: two }')))).commit();
  await http('/refused');
  expect(await compared(1)).toMatchObject({ differing: 0 });
  expect(opened).toEqual(['one', 'two']);
  await candidate.close();
  expect(closed).toEqual(['two']);
});

test('a shared handler stays open while the policy in force drops it', async () => {
  const policy = `handlers: { paths: { adapter: check-path } }
rules: [{ name: ask, check: { handler: paths, input: { path: request.path } } }]`;
  await beside(policy, `${policy}\n# another revision`);
  await engine.use(await policyOf('rules: [{ name: other, match: request.path == "/other", deny: {} }]'));
  await candidate.policyChanged();
  expect(await http('/refused')).toBe('allow');
  expect(rows(await compared(1))).toEqual(['allow by null, deny by ask: 1']);
  await eventually(() => expect(closed).toEqual(['one']));
  expect(opened).toEqual(['one', 'one']);
});

test('faults of the candidate are failures of its own verdict', async () => {
  await beside(
    'rules: [{ name: other, match: request.path == "/other", deny: {} }]',
    `handlers: { paths: { adapter: check-path, deadline: 50ms } }
rules: [{ name: ask, check: { handler: paths, input: { path: request.path } } }]`,
  );
  for (const path of ['/throws', '/gone', '/hangs', '/a']) expect(await http(path)).toBe('allow');
  expect(rows(await compared(4))).toEqual(['allow by null, failed by ask: 3']);
});

test('an unchanged quota is answered as the call in force was, and charges nothing', async () => {
  await beside(quota(2), `${quota(2)}# another revision`);
  expect([await http('/'), await http('/'), await http('/')]).toEqual(['allow', 'allow', 'deny']);
  expect(await compared(3)).toMatchObject({ differing: 0, notCompared: [] });
  expect(charges).toEqual(['spend', 'spend', 'spend']);
});

test('a lower and a raised limit are worked out from what was used', async () => {
  await beside(quota(4), quota(2));
  for (let call = 0; call < 5; call++) await http('/');
  expect(rows(await compared(5))).toEqual(['allow by null, deny by limited: 2']);
  (await candidate.prepare(await policyOf(quota(6)))).commit();
  expect(await http('/')).toBe('deny');
  expect(rows(await compared(1))).toEqual(['deny by limited, allow by null: 1']);
  expect(charges.filter((kind) => kind !== 'spend')).toEqual([]);
});

test('a rule in shadow mode stands for itself when it is enforced', async () => {
  await beside(quota(1, ', mode: shadow'), quota(1));
  expect([await http('/'), await http('/')]).toEqual(['allow', 'allow']);
  expect(rows(await compared(2))).toEqual(['allow by null, deny by limited: 1']);
});

test('a counter that the call in force did not ask is looked at', async () => {
  await beside(quota(1, ', match: request.path == "/a"'), quota(1));
  expect([await http('/a'), await http('/b')]).toEqual(['allow', 'allow']);
  expect(rows(await compared(2))).toEqual(['allow by null, deny by limited: 1']);
  expect(charges).toEqual(['spend', 'look']);
});

test('a quota that failed in force fails in the candidate, by its own onError', async () => {
  await beside(quota(1), quota(1, ', onError: error'));
  isAway = true;
  expect(await http('/')).toBe('allow');
  expect(rows(await compared(1))).toEqual(['allow by null, error by limited: 1']);
  expect(charges).toEqual(['spend']);
});

test.each([
  ['a new counter', quota(1).replace('limited', 'new')],
  ['another period', quota(1).replace('1h', '1m')],
  ['another key', quota(1).replace('[request.host]', '[request.path]')],
  ['another config of its handler', quota(1).replace('quota-counting', 'quota-counting, config: { maxKeys: 10 }')],
])('%s cannot be compared, is granted and named', async (_what, next) => {
  await beside(quota(5), next);
  expect([await http('/'), await http('/')]).toEqual(['allow', 'allow']);
  const { notCompared, differing } = await compared(2);
  expect([notCompared.length, notCompared[0]?.why, differing]).toEqual([
    1,
    expect.stringContaining('its quotas are granted'),
    0,
  ]);
  expect(charges).toEqual(['spend', 'spend']);
});

test('a percentage without `by` is drawn by each policy, and not counted', async () => {
  const policy = 'rules: [{ name: drawn, mode: { percent: 50 }, deny: {} }]';
  await beside(policy, `${policy}\n# another revision`);
  for (let call = 0; call < 200; call++) await http('/');
  expect(await compared(200)).toMatchObject({ differing: 0, notCompared: [{ rule: 'drawn' }] });
});

test('a share of the calls is compared', async () => {
  await beside('rules: [{ name: a, deny: {} }]', 'rules: [{ name: b, deny: {} }]', 0.25);
  for (let call = 0; call < 2000; call++) {
    await http('/');
    if (call % 100 === 99) await reportWhen(({ waiting }) => waiting === 0); // so that none is skipped
  }
  const report = await reportWhen(({ waiting }) => waiting === 0);
  expect(report.compared).toBeGreaterThan(300);
  expect(report.compared).toBeLessThan(700);
  expect(report.differing).toBe(report.compared);
});

test('the counts begin anew when either policy changes, and nothing is compared with itself', async () => {
  const first = 'rules: [{ name: a, deny: {} }]';
  await beside(first, 'rules: [{ name: b, deny: {} }]');
  await http('/');
  expect(rows(await compared(1))).toEqual(['deny by a, deny by b: 1']);
  await engine.use(await policyOf('rules: [{ name: c, deny: {} }]'));
  await candidate.policyChanged();
  expect(await candidate.report()).toMatchObject({ compared: 0, differences: [] });
  await http('/');
  expect(rows(await compared(1))).toEqual(['deny by c, deny by b: 1']);
  await engine.use(await policyOf('rules: [{ name: b, deny: {} }]'));
  await candidate.policyChanged();
  expect(await candidate.report()).toBeUndefined();
  expect(candidate.meters).toMatchObject({ differs: 2, same: 0 });
});

test('a candidate that cannot be opened leaves the one before', async () => {
  await beside('rules: [{ name: a, deny: {} }]', 'rules: [{ name: b, deny: {} }]');
  const broken = await policyOf('rules: [{ name: c, deny: {} }]');
  const prepared = await candidate.prepare(broken);
  await prepared.abandon();
  await http('/');
  expect(rows(await compared(1))).toEqual(['deny by a, deny by b: 1']);
});

test('a rate limit call differs by its descriptors, and its sample is of the one that differs', async () => {
  const policy = (limit: number): string => `handlers: { counts: { adapter: quota-counting } }
rules:
  - name: per-user
    calls: [limit]
    quota: { handler: counts, key: ['ratelimit.descriptor["user"]'], limit: 'ratelimit.descriptor["user"] == "bob" ? ${limit} : 10', per: 1h }
`;
  await beside(policy(10), policy(0));
  const { attributes } = await policyOf(policy(10));
  const wires = ['ann', 'bob'].map((user) =>
    plainRequest(attributes, { 'ratelimit.domain': 'd', 'ratelimit.entries': [{ key: 'user', value: user }] }, 'limit'),
  );
  expect((await engine.limit(wires, NO_CALLER)).outcome).toBe('allow');
  const report = await compared(1);
  expect(rows(report)).toEqual(['allow by null, deny by per-user: 1']);
  expect(JSON.stringify(report.samples[0]?.request.descriptor)).toContain('bob');
});

test('an allow rule that makes the difference is named, with what its condition read', async () => {
  const policy = (network: string): string => `rules:
  - { name: offices, match: 'request.headers["x-net"] == "${network}"', allow: true }
  - { name: rest, deny: { unlessAllowed: true } }
`;
  await beside(policy('a'), policy('b'));
  expect(await http('/', { 'x-net': 'b', authorization: 'Bearer abcdef' })).toBe('deny');
  const { samples } = await compared(1);
  expect(samples[0]?.why).toContain('offices: in force `request.headers["x-net"] == "a"` is false');
  expect(samples[0]?.why).toContain('in the candidate `request.headers["x-net"] == "b"` is true');
  expect(samples[0]?.values).toEqual({ 'request.headers': { 'x-net': 'b', authorization: '(secret)' } });
});

test('what either policy masks is masked in samples', async () => {
  const policy = (name: string, mask: string): string => `settings: { decisions: { mask: [${mask}] } }
rules: [{ name: ${name}, match: 'request.path == "/private" && request.host == "h"', deny: {} }]`;
  await beside(policy('a', 'request.host'), policy('b', 'request.path'));
  await http('/private');
  const { samples } = await compared(1);
  expect([samples[0]?.values, samples[0]?.request.path]).toEqual([
    { 'request.path': '(masked)', 'request.host': '(masked)' },
    '(masked)',
  ]);
});
