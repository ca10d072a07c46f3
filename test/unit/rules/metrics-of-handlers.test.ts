/** Metrics of handlers and the labels that rules give them are checked when a policy loads. */
import { expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { defineAdapter } from '../../../src/adapters/contract.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { z } from 'zod';

const adapters = await loadBuiltIns();
const errorsOf = async (text: string, registry = adapters): Promise<readonly string[]> =>
  (await loadPolicyText(new Map([['p.yaml', text]]), { adapters: registry })).findings
    .filter(({ severity }) => severity === 'error')
    .map(({ position: { line, column }, code, message }) => `${line}:${column} ${code} ${message}`);

const policy = (handlers: string, report: string): string => `handlers:\n${handlers}
rules:
  - { name: r, calls: [log], report: ${report} }
`;
const METRICS = '{ a_total: { kind: counter, labels: [x] }, b: { kind: gauge, labels: [y] } }';
const ONE = `  one: { adapter: metrics-prometheus, config: { metrics: ${METRICS} } }`;

test.each([
  [
    'a metric of another handler',
    `${ONE}\n  two: { adapter: metrics-prometheus, config: { metrics: { a_total: { kind: gauge } } } }`,
    '{ handler: one, params: { metric: a_total }, input: { labels: { x: \'"v"\' } } }',
    '3:60 RULES_DUPLICATE the metric a_total of two is already a metric of the handler one; rename it, or let the rules of both use one handler',
  ],
  [
    'a label that the metric does not have',
    ONE,
    '{ handler: one, params: { metric: a_total }, input: { labels: { x: \'"v"\', z: \'"v"\' } } }',
    '4:112 RULES_UNKNOWN_INPUT the adapter has no input labels.z; did you mean labels.x?',
  ],
  [
    'a label too few',
    ONE,
    '{ handler: one, params: { metric: a_total }, input: { value: "1" } }',
    '4:38 RULES_MISSING_INPUT the adapter needs the input labels.x (string); write input: { labels.x: EXPRESSION }',
  ],
  [
    'metrics of one rule with different labels',
    ONE,
    '{ handler: one, params: { metric: [a_total, b] }, input: { labels: { x: \'"v"\' } } }',
    'the metrics of a rule must have the same labels; a_total has x, b has y',
  ],
  [
    'a metric that is not in the config',
    ONE,
    '{ handler: one, params: { metric: c }, input: {} }',
    `the handler's config has no metric "c"; known are a_total, b`,
  ],
])('%s is an error at its place', async (_, handlers, report, error) => {
  const errors = await errorsOf(policy(handlers, report));
  expect(errors).toEqual([expect.stringContaining(error)]);
  expect(errors[0]).toMatch(/^\d+:\d+ RULES_/);
});

test('an adapter that fails to list its metrics is named', async () => {
  const broken = defineAdapter({
    name: 'report-broken',
    summary: 'For this test.',
    config: z.strictObject({}),
    serves: { report: { input: { value: 'int' } } },
    metrics: () => {
      throw new TypeError('no list');
    },
    open: async () => ({ sink: () => 0, write: () => {} }),
  });
  expect(
    await errorsOf(
      policy('  one: { adapter: report-broken }', '{ handler: one, input: { value: "1" } }'),
      createRegistry([broken]),
    ),
  ).toEqual([
    expect.stringContaining('config of report-broken: the adapter failed to list its metrics: no list; report it'),
  ]);
});
