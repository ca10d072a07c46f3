/** Shares of `npm run istio:compare`: Envoy's own filters and Sluice, with the same documents of Istio and the same requests. */
import { expect, test } from 'vitest';
import { compareWithRbac } from '../parts/istio/compare.ts';
import { compareWithNetworkRbac } from '../parts/istio/compare-tcp.ts';
import { compareWithJwtAuthn } from '../parts/istio/compare-tokens.ts';

test('random AuthorizationPolicy means what Envoy makes of it', { timeout: 120_000 }, async () => {
  const { policies, requests, passed, differences } = await compareWithRbac({ seed: 1, workloads: 20, requests: 400 });
  expect(differences).toEqual([]);
  // Both answers are frequent, or the comparison would show little.
  expect([policies > 25, passed > requests * 0.2, passed < requests * 0.8]).toEqual([true, true, true]);
});

test('random RequestAuthentications mean what Envoy makes of them', { timeout: 120_000 }, async () => {
  const asked = { seed: 1, workloads: 20, requests: 400 };
  const { policies, passed, refused, differences, listed } = await compareWithJwtAuthn(asked);
  expect(differences).toEqual([]);
  expect(Object.values(listed).reduce((sum, one) => sum + one, 0)).toBeLessThan(20);
  expect([policies > 25, passed > 80, (refused[401] ?? 0) > 40, (refused[403] ?? 0) > 0]).toEqual([
    true,
    true,
    true,
    true,
  ]);
});

test('random AuthorizationPolicy means the same for connections', { timeout: 120_000 }, async () => {
  const { policies, passed, differences } = await compareWithNetworkRbac({ seed: 1, workloads: 5, connections: 150 });
  expect(differences).toEqual([]);
  expect([policies > 5, passed > 20, passed < 130]).toEqual([true, true, true]);
});

test('random roles and bindings mean the same for connections', { timeout: 120_000 }, async () => {
  const asked = { seed: 1, workloads: 6, connections: 120, kind: 'ServiceRole' } as const;
  const { policies, passed, differences } = await compareWithNetworkRbac(asked);
  expect(differences).toEqual([]);
  expect([policies > 12, passed > 10, passed < 110]).toEqual([true, true, true]);
});

test(
  'random roles and bindings of RBAC v1alpha1 mean what their AuthorizationPolicy does',
  { timeout: 120_000 },
  async () => {
    const asked = { seed: 1, workloads: 15, requests: 250, kind: 'ServiceRole' } as const;
    const { policies, passed, differences } = await compareWithRbac(asked);
    expect(differences).toEqual([]);
    expect([policies > 30, passed > 20, passed < 230]).toEqual([true, true, true]);
  },
);
