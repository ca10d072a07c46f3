/** Streams that share maps of resources: what a proxy has in the end is what it asks for of the newest state, however it got there. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { changesBetween, united } from '../../../src/xds/changes.ts';
import { Differences } from '../../../src/xds/differences.ts';
import { type PlainRequest, readPlainRequest } from '../../../src/xds/plain-request.ts';
import { LayeredResources } from '../../../src/xds/layered-resources.ts';
import type { Resource, Resources } from '../../../src/xds/resource.ts';
import { StateOfTheWorld } from '../../../src/xds/state-of-the-world.ts';
import { CLUSTER, ENDPOINTS } from '../../../src/xds/type-urls.ts';
import { Random } from '../../parts/random.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const made = (name: string, version: string): Resource => ({
  name,
  version,
  value: new TextEncoder().encode(`${name}@${version}`),
});
const byText = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : Number(String(a) > String(b)));
const plain = (resources: Resources): ReadonlyMap<string, string> =>
  new Map([...resources].map(([name, { version }]) => [name, version] as const).toSorted(byText));

/** A state that follows another one; maps of it may be the same objects. */
function next(before: Resources, random: Random, all: Map<string, Resource>): Resources {
  const one = (name: string): Resource => {
    const version = String(random.below(3));
    const resource = all.get(name + version) ?? made(name, version);
    if (random.chance(2)) all.set(name + version, resource); // others of equal content are other objects
    return resource;
  };
  const some = (): Resources => new Map(NAMES.filter(() => random.chance(2)).map((name) => [name, one(name)] as const));
  if (random.chance(4)) return some();
  const shared = before instanceof LayeredResources && random.chance(2) ? before.shared : some();
  return new LayeredResources(shared, random.chance(3) ? new Map() : some());
}

const seeds = Array.from({ length: 300 }, (_, at) => at);

test('changes, unions and versions are those of plain maps', () => {
  for (const seed of seeds) {
    const random = new Random(seed);
    const all = new Map<string, Resource>();
    const before = next(new Map(), random, all);
    const now = next(before, random, all);
    const [from, to] = [plain(before), plain(now)];
    const { changed, gone } = changesBetween(before, now);
    expect(now.size).toBe(to.size);
    expect(changed.toSorted(byText)).toEqual([...to.keys()].filter((name) => from.get(name) !== to.get(name)));
    expect(gone.toSorted(byText)).toEqual([...from.keys()].filter((name) => !to.has(name)));
    expect(plain(united(before, now))).toEqual(new Map([...new Map([...from, ...to])].toSorted(byText)));
  }
});

const asked = (names: readonly string[], responseNonce: string): PlainRequest =>
  readPlainRequest(
    toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { resourceNames: [...names], responseNonce })),
  );
const ABSENT = made('', 'empty');

describe.for([
  [CLUSTER, 'all'],
  [ENDPOINTS, 'some'],
] as const)('%s, asked for %s', ([typeUrl, which]) => {
  test.for([true, false])('state of the world, with something in place of what is absent: %s', (hasAbsent) => {
    for (const seed of seeds) {
      const random = new Random(seed);
      const all = new Map<string, Resource>();
      const one = new StateOfTheWorld(typeUrl);
      const has = new Map<string, string>();
      let names: readonly string[] = [];
      let state = next(new Map(), random, all);
      let nonce = '';
      for (let step = 0; step < 8; step++) {
        if (step === 0 || random.chance(2)) {
          if (which === 'some') names = NAMES.filter(() => random.chance(2));
          one.receive(asked(names, nonce));
          for (const name of has.keys()) if (which === 'some' && !names.includes(name)) has.delete(name);
        }
        if (random.chance(2)) state = next(state, random, all);
        const view = {
          resources: state,
          absent: (name: string) => (hasAbsent ? { ...ABSENT, name } : undefined),
          keepsOld: false,
        };
        const bytes = one.response(view);
        if (bytes !== undefined) {
          const response = fromBinary(DiscoveryResponseSchema, bytes);
          nonce = response.nonce;
          if (which === 'all') has.clear();
          for (const { value } of response.resources) {
            const [name = '', version = ''] = new TextDecoder().decode(value).split('@');
            has.set(name, version);
          }
          one.receive(asked(names, nonce));
        }
        expect(one.response(view)).toBeUndefined();
        const wanted = [...plain(state)].filter(([name]) => which === 'all' || names.includes(name));
        for (const [name, version] of wanted)
          expect([seed, step, name, has.get(name)]).toEqual([seed, step, name, version]);
        if (which === 'all') expect(has.size).toBe(state.size);
      }
    }
  });

  test.for([true, false])('delta, with something in place of what is absent: %s', (hasAbsent) => {
    for (const seed of seeds) {
      const random = new Random(seed);
      const all = new Map<string, Resource>();
      const one = new Differences(typeUrl);
      let state = next(new Map(), random, all);
      const has = new Map<string, string>(
        random.chance(2) ? NAMES.filter(() => random.chance(2)).map((name) => [name, String(random.below(3))]) : [],
      );
      const names = new Set<string>(which === 'some' ? [...has.keys()] : []);
      one.receive(
        create(DeltaDiscoveryRequestSchema, {
          resourceNamesSubscribe: [...names],
          initialResourceVersions: Object.fromEntries(has),
        }),
      );
      for (let step = 0; step < 8; step++) {
        if (which === 'some' && random.chance(2)) {
          const [subscribe, unsubscribe] = [
            NAMES.filter(() => random.chance(3)),
            [...names].filter(() => random.chance(3)),
          ];
          for (const name of subscribe) names.add(name);
          for (const name of unsubscribe) {
            names.delete(name);
            has.delete(name);
          }
          one.receive(
            create(DeltaDiscoveryRequestSchema, {
              resourceNamesSubscribe: subscribe,
              resourceNamesUnsubscribe: unsubscribe,
            }),
          );
        }
        if (random.chance(2)) state = next(state, random, all);
        const view = {
          resources: state,
          absent: (name: string) => (hasAbsent ? { ...ABSENT, name } : undefined),
          keepsOld: random.chance(4),
        };
        const bytes = one.response(view);
        if (bytes !== undefined) {
          const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
          for (const { name, version } of response.resources) has.set(name, version);
          for (const name of response.removedResources) has.delete(name);
          one.receive(create(DeltaDiscoveryRequestSchema, { responseNonce: response.nonce }));
        }
        expect(one.response(view)).toBeUndefined();
        const wanted = new Map([...plain(state)].filter(([name]) => which === 'all' || names.has(name)));
        if (hasAbsent) for (const name of names) if (!wanted.has(name)) wanted.set(name, 'empty');
        const own = view.keepsOld ? [...has].filter(([name]) => wanted.has(name)) : [...has];
        expect([seed, step, ...own.toSorted(byText)]).toEqual([seed, step, ...[...wanted].toSorted(byText)]);
      }
    }
  });
});
