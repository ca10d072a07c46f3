/** `sluice import istio` prints rules that decide as the documents do. */
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { nativeText } from '../../../src/cli/actions/import-istio.ts';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import { randomPolicies, randomRequest, TOKENS } from '../../parts/istio/random.ts';
import { Random } from '../../parts/random.ts';
import { engineOf } from '../core/engine-of.ts';

const PRINCIPALS = [
  undefined,
  'cluster.local/ns/default/sa/sleep',
  'cluster.local/ns/shop/sa/orders',
  'old.example/ns/shop-two/sa/orders',
];

function attributesOf(random: Random, namespace: string): Record<string, unknown> {
  const { method, path, headers, from, token } = randomRequest(random);
  const principal = random.one(PRINCIPALS);
  const payload = TOKENS[token];
  return {
    'request.method': method,
    'request.path': path,
    'request.authority': headers['host'],
    'request.header_values': Object.fromEntries(
      Object.entries(headers).map(([name, values]) => [name, [values].flat()]),
    ),
    'source.ip': from,
    'destination.port': 80,
    'destination.namespace': namespace,
    ...(principal === undefined ? {} : { 'source.principal': principal }),
    ...(payload === undefined ? {} : { metadata: { 'envoy.filters.http.jwt_authn': { payload } } }),
  };
}

test('printed rules load without a finding, and decide as the documents of 25 workloads do', async () => {
  const random = new Random(7);
  const namespaces = Array.from({ length: 25 }, (_, at) => `case-${at}`);
  const documents = namespaces.flatMap((namespace) => randomPolicies(random, namespace, ['80', '81']));
  const text = documents.map((one) => stringify(one)).join('---\n');
  const adapters = await loadBuiltIns();
  const { imported, findings } = await loadPolicyText(new Map([['istio.yaml', text]]), { adapters, env: {} });
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  const native = nativeText(imported);
  const again = await loadPolicyText(new Map([['native.yaml', native]]), { adapters, env: {} });
  expect(again.findings).toEqual([]);
  const [one, other] = [await engineOf(text, {}), await engineOf(native, {})];
  let denied = 0;
  for (let at = 0; at < 400; at++) {
    const request = attributesOf(random, random.one(namespaces));
    const [before, after] = [await one.http(request), await other.http(request)];
    expect([after.outcome, after.status], JSON.stringify(request)).toEqual([before.outcome, before.status]);
    if (before.outcome === 'deny') denied++;
    expect(before.outcome).not.toBe('failed');
  }
  expect(denied).toBeGreaterThan(80);
  expect(denied).toBeLessThan(320);
});
