/** A policy that trusts more proxies than exist is logged, once. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { ForwardedForCheck } from '../../../src/serve/policy/forwarded-for.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';

async function policyOf(trustedHops: number | undefined, name = 'a'): Promise<Policy> {
  const { policy } = await loadPolicyText(
    new Map([
      [
        'policy.yaml',
        `settings: ${trustedHops === undefined ? '{}' : `{ trustedHops: ${trustedHops} }`}\nrules: [{ name: ${name}, deny: {} }]\n`,
      ],
    ]),
    { adapters: await loadBuiltIns() },
  );
  if (policy === undefined) throw new Error('the policy has errors');
  return policy;
}

let lines: unknown[];
let policy: Policy | undefined;
let shortOnes: number;
let check: ForwardedForCheck;
beforeEach(() => {
  lines = [];
  shortOnes = 0;
  policy = undefined;
  check = new ForwardedForCheck({
    log: { warn: (message, fields) => void lines.push([message.split(',')[0], fields]) },
    policy: () => policy,
    shortOnes: () => shortOnes,
  });
});
afterEach(() => check[Symbol.dispose]());

const SAID = 'X-Forwarded-For has fewer entries than settings.trustedHops needs';

test('warns once per policy, after enough requests under it', async () => {
  policy = await policyOf(2);
  check.poll();
  shortOnes = 19;
  check.poll();
  expect(lines).toEqual([]);
  shortOnes = 20;
  check.poll();
  shortOnes = 1000;
  check.poll();
  expect(lines).toEqual([[SAID, { trustedHops: 2, needed: 3, requests: 20, revision: policy.revision }]]);
  policy = await policyOf(1, 'b');
  check.poll();
  expect(lines).toHaveLength(1);
  shortOnes = 1030;
  check.poll();
  expect(lines[1]).toEqual([SAID, { trustedHops: 1, needed: 2, requests: 30, revision: policy.revision }]);
});

test('does not warn without trustedHops, nor without a policy', async () => {
  shortOnes = 100;
  check.poll();
  policy = await policyOf(undefined);
  check.poll();
  shortOnes = 200;
  check.poll();
  expect(lines).toEqual([]);
});
