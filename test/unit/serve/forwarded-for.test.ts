/** A policy that trusts more proxies than there are is told of, once. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/built-in.ts';
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

test('once for each policy, when it has happened often since that policy came', async () => {
  policy = await policyOf(2);
  check.look();
  shortOnes = 19;
  check.look();
  expect(lines).toEqual([]);
  shortOnes = 20;
  check.look();
  shortOnes = 1000;
  check.look();
  expect(lines).toEqual([[SAID, { trustedHops: 2, needed: 3, requests: 20, revision: policy.revision }]]);
  policy = await policyOf(1, 'b');
  check.look();
  expect(lines).toHaveLength(1);
  shortOnes = 1030;
  check.look();
  expect(lines[1]).toEqual([SAID, { trustedHops: 1, needed: 2, requests: 30, revision: policy.revision }]);
});

test('not where the policy does not say, nor without one', async () => {
  shortOnes = 100;
  check.look();
  policy = await policyOf(undefined);
  check.look();
  shortOnes = 200;
  check.look();
  expect(lines).toEqual([]);
});
