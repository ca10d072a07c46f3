/** The printed inspection of quota rules. */
import { expect, test } from 'vitest';
import { ruleLines } from '../../../src/cli/limits/rule-lines.ts';
import type { QuotaInspection } from '../../../src/core/dispatch/quota-inspection.ts';

const look = (more: Partial<QuotaInspection>): QuotaInspection => ({
  rule: 'r',
  at: '/p.yaml:3',
  applies: true,
  why: 'it has no match',
  enforced: true,
  handler: 'q',
  adapter: 'quota-redis',
  algorithm: 'fixed',
  counter: 'r',
  key: [],
  limit: 9,
  cost: 1,
  perMs: 60_000,
  ...more,
});
const lines = (depth: 'inspect' | 'reset', ...rules: readonly QuotaInspection[]): string[] => [
  ...ruleLines(depth, { call: 'http', rules }),
];

test('a counter: its place, its state, its holders', () => {
  expect(
    lines(
      'inspect',
      look({
        algorithm: 'gcra',
        limit: 10,
        burst: 20,
        cost: 4,
        perMs: 90_000,
        enforced: false,
        match: 'true',
        why: 'its match is true',
        place: 'sluice:g:1',
        key: [
          { source: 'request.host', value: 'a' },
          { source: 'my.plan', value: null },
        ],
        state: { granted: false, used: 18, remaining: 2, resetMs: 1200 },
        holders: [
          { who: 'one', units: 3 },
          { who: 'two', units: 1 },
        ],
      }),
    ),
  ).toEqual([
    'r  10 per 90s, gcra, burst 20  /p.yaml:3',
    '  applies     its match is true',
    '  match       true',
    '  mode        shadow: charged, never refused',
    '  key         request.host = "a", my.plan = absent',
    '  counter     r, kept by q (quota-redis) as sluice:g:1',
    '  costs       4',
    '  is at       18, 2 left: less than the call costs',
    '  full in     2 s',
    '  held        3 by one, 1 by two',
  ]);
});

test.each([
  [500, '500ms'],
  [1000, '1s'],
  [90_000, '90s'],
  [3_600_000, '1h'],
  [2_592_000_000, '30d'],
])('a period of %d ms is %s', (perMs, text) => {
  expect(lines('inspect', look({ perMs }))[0]).toBe(`r  9 per ${text}, fixed  /p.yaml:3`);
});

test('a calendar; a limit that failed to evaluate, with the reason', () => {
  const {
    limit: _limit,
    cost: _cost,
    ...without
  } = look({ calendar: 'month Europe/Amsterdam', failure: 'limit: my.plan is absent; the call passes uncharged' });
  expect(lines('inspect', without)).toEqual([
    'r  an unknown limit per month Europe/Amsterdam, fixed  /p.yaml:3',
    '  applies     it has no match',
    '  key         none: one count for all',
    '  counter     r, kept by q (quota-redis)',
    '  limit: my.plan is absent; the call passes uncharged',
  ]);
});

test('descriptors are named where there are several; a policy without quotas says so', () => {
  const told = lines(
    'inspect',
    look({ descriptor: 1 }),
    look({ descriptor: 2, applies: false, why: 'the descriptor has no user' }),
  );
  expect([told[0], told.at(-1)]).toEqual([
    'r (descriptor 1)  9 per 1m, fixed  /p.yaml:3',
    '  r (descriptor 2)  the descriptor has no user    /p.yaml:3',
  ]);
  expect(lines('inspect')).toEqual(['the policy has no quota rule: it passes']);
});

test('a reset: the state before it, and whether it succeeded', () => {
  const state = { granted: true, used: 2, remaining: 7, resetMs: 500 };
  expect(lines('reset', look({ state, reset: true })).slice(-3)).toEqual([
    '  was at      2, 7 left',
    '  ends in     1 s',
    '  it is reset',
  ]);
  expect(lines('reset', look({ state, reset: false, failure: 'away' })).slice(-2)).toEqual([
    '  away',
    '  it was not reset',
  ]);
});
