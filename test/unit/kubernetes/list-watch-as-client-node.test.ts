/** A second opinion on lists and watches: whatever happens to them, @kubernetes/client-node's informers must hold the same objects. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import { followByTwoClients } from '../../parts/client-node.ts';
import { answers, type FakeKubeApi, startFakeKubeApi } from '../../parts/fake-kube-api.ts';
import { NETWORKING } from '../../parts/mesh/kubernetes.ts';
import { Random } from '../../parts/random.ts';

const STEPS = 150;
const RESOURCES = [
  { apiVersion: 'v1', plural: 'pods' },
  { apiVersion: 'v1', plural: 'namespaces' },
  { apiVersion: NETWORKING, plural: 'virtualservices' },
];

function changeOne(api: FakeKubeApi, random: Random): void {
  const { plural } = random.one(RESOURCES);
  const namespace = plural === 'namespaces' ? '' : random.one(['shop', 'office']);
  const object = { metadata: { name: `o${random.below(8)}`, namespace } };
  if (random.chance(3)) api.remove(plural, object);
  else api.put(plural, { ...object, spec: { step: random.below(1000) } });
}

/** With how often each happens, once in so many steps. */
const FAULTS: readonly (readonly [oneIn: number, happens: (api: FakeKubeApi, random: Random) => void])[] = [
  [12, (api) => api.cutWatchers()],
  [12, (api) => api.endWatchers()],
  [12, (api) => api.bookmark()],
  [25, (api) => api.toWatchers('{"type":"ADDED","object":\n')],
  [25, (api) => void api.next.push(answers(500), answers(429, 'slow down', { 'retry-after': '0' }))],
  [
    15, // what they miss is compacted away: 410
    (api, random) => {
      api.cutWatchers();
      for (let at = 0; at < 10; at++) changeOne(api, random);
      api.compact(1);
    },
  ],
];

for (const seed of [1, 2, 3, 4])
  test(`after changes, cut watches and expired versions both clients hold what the server has (seed ${seed})`, async () => {
    const random = new Random(seed);
    const api = await startFakeKubeApi();
    for (let at = 0; at < 20; at++) changeOne(api, random);
    {
      await using clients = followByTwoClients({ url: api.url, tls: { ca: api.ca } }, RESOURCES, {
        backoff: { firstMs: 2, mostMs: 10 },
        pageSize: 3,
        restartMs: 5,
      });
      for (let step = 0; step < STEPS; step++) {
        changeOne(api, random);
        for (const [oneIn, happens] of FAULTS) if (random.chance(oneIn)) happens(api, random);
        if (random.chance(3)) await sleep(random.below(8));
      }
      api.next.length = 0;
      const onServer = new Map(
        RESOURCES.flatMap(({ plural }) =>
          api
            .all(plural)
            .map(({ metadata }) => [
              `${plural} ${metadata.namespace}/${metadata.name}`,
              metadata['resourceVersion'] as string,
            ]),
        ),
      );
      expect(onServer.size).toBeGreaterThan(10);
      await eventually(() => {
        expect(clients.ours).toEqual(onServer);
        expect(clients.theirs()).toEqual(onServer);
      });
      expect(await clients.listed()).toEqual(onServer);
      // Each has listed again, and connected again.
      for (const count of Object.values(clients.begun)) expect(count).toBeGreaterThan(2 * RESOURCES.length);
    }
    await api.stop();
  });
