/** The printed inspection of a limit of `sluice ratelimit`. */
import { expect, test } from 'vitest';
import { descriptorLines } from '../../../src/cli/limits/descriptor-lines.ts';
import type { Inspection } from '../../../src/ratelimit/inspect/inspector.ts';

const limit = {
  rule: 'd.k',
  at: '/f.yaml:1:2',
  requestsPerUnit: 100,
  unit: 'DAY',
  unlimited: false,
  name: '',
  shadow: false,
  quota: false,
  replaces: [],
  metric: 'd.k',
  algorithm: 'fixed',
  burst: undefined,
} as const;
const told: Inspection = {
  domain: 'd',
  entries: [],
  why: [],
  limit,
  counter: 'd_k_0',
  resetS: 10,
  count: 60,
  heldHere: 0,
  holders: [],
  remaining: 40,
};
const lines = (depth: 'inspect' | 'reset', more: Partial<Inspection>): string[] =>
  [...descriptorLines(depth, { ...told, ...more })].slice(3);

test('the state of the counter, and its holders', () => {
  expect(lines('inspect', {})).toEqual(['  is at      60, 40 left']);
  expect(
    lines('inspect', {
      heldHere: 12,
      holders: [
        { who: 'a-1', units: 30 },
        { who: 'b-2', units: 12 },
      ],
    }),
  ).toEqual(['  is at      60, 40 left; 12 of them held here', '  held       30 by a-1, 12 by b-2']);
  expect(lines('reset', { holders: [{ who: 'a-1', units: 30 }] })).toEqual([
    '  was at     60, 40 left',
    '  held       30 by a-1',
    'it is reset',
  ]);
});
