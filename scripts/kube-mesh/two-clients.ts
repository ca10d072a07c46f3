/** Our lists and watches beside those of @kubernetes/client-node, at a real server that is cut off, compacted and killed. */
import assert from 'node:assert/strict';
import { eventually } from '../../src/adapters/testing/index.ts';
import { followByTwoClients } from '../../test/parts/client-node.ts';
import type { KubeApiServer } from '../../test/parts/kube-apiserver.ts';
import { startLink } from '../../test/parts/link.ts';
import { Random } from '../../test/parts/random.ts';
import { NETWORKING, ruleNamed, WITHIN_MS } from './objects.ts';

const ROUNDS = 3;
/** Of a round, half of them while the server cannot be reached. */
const CHANGES = 120;
const NAMES = 25;
const NAMESPACE = 'two-clients';

interface Followed {
  readonly apiVersion: string;
  readonly plural: string;
  readonly object: (name: string) => object;
}

const RESOURCES: readonly Followed[] = [
  {
    apiVersion: 'v1',
    plural: 'services',
    object: (name) => ({ metadata: { name }, spec: { clusterIP: 'None', ports: [{ port: 80 }] } }),
  },
  {
    apiVersion: 'v1',
    plural: 'pods',
    object: (name) => ({ metadata: { name }, spec: { containers: [{ name: 'web', image: 'web' }] } }),
  },
  { apiVersion: NETWORKING, plural: 'virtualservices', object: (name) => ruleNamed(name, NAMESPACE) },
];

export interface TwoClientsResult {
  readonly changes: number;
  readonly objects: number;
  readonly begun: Readonly<Record<'ourLists' | 'ourWatches' | 'theirLists' | 'theirWatches', number>>;
}

/** Throws if the two do not come to hold what the server has. */
export async function compareTwoClients(server: KubeApiServer): Promise<TwoClientsResult> {
  const random = new Random(1);
  const known = new Map(RESOURCES.map((resource) => [resource, new Set<string>()]));
  const change = async (): Promise<void> => {
    const resource = random.one(RESOURCES);
    const { apiVersion, plural, object } = resource;
    const own = known.get(resource) ?? new Set();
    const name = `o${random.below(NAMES)}`;
    const path = `/${apiVersion.includes('/') ? 'apis' : 'api'}/${apiVersion}/namespaces/${NAMESPACE}/${plural}`;
    if (!own.has(name)) await server.call('POST', path, object(name));
    else if (random.chance(2)) await server.call('DELETE', `${path}/${name}`);
    else {
      const labels = { step: String(random.below(1_000_000)) };
      await server.call('PATCH', `${path}/${name}`, { metadata: { labels } });
      return;
    }
    if (!own.delete(name)) own.add(name);
  };

  await server.call('POST', '/api/v1/namespaces', { metadata: { name: NAMESPACE } });
  const link = await startLink(server.port);
  const address = { url: `https://127.0.0.1:${link.port}`, token: server.adminToken, tls: { ca: server.ca } };
  const options = { backoff: { firstMs: 50, mostMs: 500 }, pageSize: 10, watchForMs: 3000, restartMs: 200 };
  try {
    await using clients = followByTwoClients(address, RESOURCES, options);
    let objects = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (let at = 0; at < CHANGES / 2; at++) await change();
      link.cut();
      for (let at = 0; at < CHANGES / 2; at++) await change();
      await server.compact();
      await server.kill();
      await server.restart();
      link.mend();
      await eventually(async () => {
        const listed = await clients.listed();
        assert.deepEqual(clients.ours, listed);
        assert.deepEqual(clients.theirs(), listed);
        objects = listed.size;
      }, WITHIN_MS);
    }
    assert.ok(clients.begun.ourLists > RESOURCES.length, 'no version has expired');
    return { changes: ROUNDS * CHANGES, objects, begun: { ...clients.begun } };
  } finally {
    await link.stop();
  }
}
