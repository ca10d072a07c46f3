/** The roots of the certificate authority in the namespaces of a real server. */
import assert from 'node:assert/strict';
import { eventually } from '../../src/adapters/testing/index.ts';
import type { RootConfigMaps } from '../../src/serve/mesh/root-config-maps.ts';
import type { KubeApiServer } from '../../test/parts/kube-apiserver.ts';
import { WITHIN_MS } from './objects.ts';

/** Namespaces. */
const MANY = 1000;

/** They are in each namespace, and are corrected. Returns what it measured. */
export async function rootsInNamespaces(server: KubeApiServer, maps: RootConfigMaps): Promise<string> {
  const path = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps/istio-ca-root-cert`;
  const read = async (namespace: string): Promise<{ data: Record<string, string>; metadata: { labels: object } }> =>
    (await server.call('GET', path(namespace))) as Awaited<ReturnType<typeof read>>;
  const holds = (namespace: string, roots: string): Promise<void> =>
    eventually(async () => assert.equal((await read(namespace)).data['root-cert.pem'], roots), WITHIN_MS);
  await holds('default', 'first\n');
  await assert.rejects(read('kube-system'), /404/);
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'late' } });
  await holds('late', 'first\n');
  await server.call('PATCH', path('late'), { data: { 'root-cert.pem': 'theirs', more: 'x' } });
  await holds('late', 'first\n');
  const { data, metadata } = await read('late');
  assert.deepEqual([data['more'], metadata.labels], ['x', { 'istio.io/config': 'true' }]);
  await server.call('DELETE', path('late'));
  await holds('late', 'first\n');
  maps.use(['first\n', 'second\n']);
  for (const namespace of ['default', 'istio-system', 'late']) await holds(namespace, 'first\nsecond\n');
  // Nothing deletes its content, as there are no controllers: it stays in this state.
  await server.call('DELETE', '/api/v1/namespaces/late');
  await eventually(() => assert.equal(maps.state.namespaces, 2), WITHIN_MS);
  assert.deepEqual(maps.state.failing, []);

  const began = performance.now();
  const names = Array.from({ length: MANY }, (_, at) => `many-${at}`);
  for (const name of names) await server.call('POST', '/api/v1/namespaces', { metadata: { name } });
  const createdMs = performance.now() - began;
  await eventually(() => assert.equal(maps.state.current, MANY + 2), WITHIN_MS);
  const allMs = performance.now() - began;
  maps.use(['second\n']);
  const changed = performance.now();
  await eventually(() => assert.equal(maps.state.current, MANY + 2), WITHIN_MS);
  const rotatedS = ((performance.now() - changed) / 1000).toFixed(1);
  const measured = `${MANY} namespaces have the roots ${Math.round(allMs - createdMs)} ms after the last was made; new roots after ${rotatedS} s`;
  for (const name of names) await server.call('DELETE', `/api/v1/namespaces/${name}`);
  return measured;
}
