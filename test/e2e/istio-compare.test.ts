/** A share of `npm run istio:compare`: Envoy's RBAC filter and Sluice, with the same AuthorizationPolicy and the same requests. */
import { expect, test } from 'vitest';
import { compareWithRbac } from '../parts/istio/compare.ts';

test('random AuthorizationPolicy means what Envoy makes of it', { timeout: 120_000 }, async () => {
  const { policies, requests, passed, differences } = await compareWithRbac({ seed: 1, workloads: 20, requests: 400 });
  expect(differences).toEqual([]);
  // Both answers are frequent, or the comparison would show little.
  expect([policies > 25, passed > requests * 0.2, passed < requests * 0.8]).toEqual([true, true, true]);
});
