/** The protocol of one type on one stream, in both forms. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { Differences } from '../../../src/xds/differences.ts';
import { readPlainRequest } from '../../../src/xds/plain-request.ts';
import type { Resource } from '../../../src/xds/resource.ts';
import { StateOfTheWorld } from '../../../src/xds/state-of-the-world.ts';
import { CLUSTER, ENDPOINTS, ROUTES, SECRET } from '../../../src/xds/type-urls.ts';

const made = (name: string, version = '1'): Resource => ({
  name,
  version,
  value: new TextEncoder().encode(`${name}@${version}`),
});
const view = (all: readonly Resource[], absent?: (name: string) => Resource | undefined) => ({
  resources: new Map(all.map((one) => [one.name, one])),
  absent: absent ?? ((): undefined => undefined),
  keepsOld: false,
});
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

describe('state of the world', () => {
  const ask = (one: StateOfTheWorld, request: MessageInitShape<typeof DiscoveryRequestSchema>): void =>
    one.receive(readPlainRequest(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, request))));
  function sent(one: StateOfTheWorld, shown: ReturnType<typeof view>) {
    const bytes = one.response(shown);
    if (bytes === undefined) return undefined;
    const { nonce, versionInfo, typeUrl, resources } = fromBinary(DiscoveryResponseSchema, bytes);
    return { nonce, versionInfo, typeUrl, resources: resources.map(({ value }) => text(value)) };
  }

  test('a first request without names subscribes to all clusters, and an ACK is answered by silence', () => {
    const one = new StateOfTheWorld(CLUSTER);
    ask(one, {});
    const first = sent(one, view([made('a'), made('b')]));
    expect(first).toMatchObject({ nonce: '1', typeUrl: CLUSTER, resources: ['a@1', 'b@1'] });
    expect(one.isSettled).toBe(false);
    ask(one, { responseNonce: '1', versionInfo: first?.versionInfo ?? '' });
    expect(one).toMatchObject({ isSettled: true, accepted: first?.versionInfo, refusal: undefined });
    expect(sent(one, view([made('a'), made('b')]))).toBeUndefined();
  });

  test('an empty set of clusters is an answer too', () => {
    const one = new StateOfTheWorld(CLUSTER);
    ask(one, {});
    expect(sent(one, view([]))?.resources).toEqual([]);
    expect(sent(one, view([]))).toBeUndefined();
  });

  test('a set of clusters is complete, and one that is gone is left out', () => {
    const one = new StateOfTheWorld(CLUSTER);
    ask(one, {});
    sent(one, view([made('a'), made('b')]));
    expect(sent(one, view([made('b')]))?.resources).toEqual(['b@1']);
    expect(sent(one, view([]))?.resources).toEqual([]);
  });

  test('equal content has an equal version on every stream', () => {
    const versions = [1, 2].map(() => {
      const one = new StateOfTheWorld(CLUSTER);
      ask(one, {});
      return sent(one, view([made('a'), made('b')]))?.versionInfo;
    });
    expect(versions[0]).toBe(versions[1]);
  });

  test('routes are sent by name, and again only those that changed', () => {
    const one = new StateOfTheWorld(ROUTES);
    ask(one, { resourceNames: ['a', 'b'] });
    expect(sent(one, view([made('a'), made('b'), made('c')]))?.resources).toEqual(['a@1', 'b@1']);
    ask(one, { resourceNames: ['a', 'b'], responseNonce: '1' });
    expect(sent(one, view([made('a'), made('b', '2'), made('c', '2')]))?.resources).toEqual(['b@2']);
  });

  test('an ACK with more names is answered with the new ones; one with fewer is not, and what was left is sent when it is named again', () => {
    const one = new StateOfTheWorld(ENDPOINTS);
    const all = view([made('a'), made('b')]);
    ask(one, { resourceNames: ['a'] });
    sent(one, all);
    ask(one, { resourceNames: ['a', 'b'], responseNonce: '1' });
    expect(sent(one, all)).toMatchObject({ nonce: '2', resources: ['b@1'] });
    ask(one, { resourceNames: ['b'], responseNonce: '2' });
    expect(sent(one, all)).toBeUndefined();
    ask(one, { resourceNames: ['a', 'b'], responseNonce: '2' });
    expect(sent(one, all)?.resources).toEqual(['a@1']);
  });

  test('a name that does not exist is answered when it does, and at once if there is something in its place', () => {
    const one = new StateOfTheWorld(ROUTES);
    ask(one, { resourceNames: ['late'] });
    expect(sent(one, view([]))).toBeUndefined();
    expect(sent(one, view([made('late')]))?.resources).toEqual(['late@1']);
    const other = new StateOfTheWorld(ENDPOINTS);
    ask(other, { resourceNames: ['nobody'] });
    expect(
      sent(
        other,
        view([], (name) => made(name, 'empty')),
      )?.resources,
    ).toEqual(['nobody@empty']);
  });

  test('a request for an earlier response is ignored', () => {
    const one = new StateOfTheWorld(CLUSTER);
    ask(one, {});
    sent(one, view([made('a')]));
    sent(one, view([made('a', '2')]));
    ask(one, { responseNonce: '1', errorDetail: { code: 3, message: 'late' } });
    expect(one).toMatchObject({ isSettled: false, refusal: undefined });
    ask(one, { responseNonce: '2' });
    expect(one.isSettled).toBe(true);
  });

  test('a refused version is recorded with the resources that Envoy names, and is not sent again', () => {
    const one = new StateOfTheWorld(CLUSTER);
    ask(one, {});
    const all = [made('good'), { ...made('bad'), origin: 'DestinationRule default/bad at mesh.yaml:3:1' }];
    sent(one, view(all));
    ask(one, { responseNonce: '1', errorDetail: { code: 3, message: 'cluster bad: no connect timeout' } });
    expect(one.refusal).toMatchObject({
      why: 'cluster bad: no connect timeout',
      resources: [{ name: 'bad', origin: 'DestinationRule default/bad at mesh.yaml:3:1' }],
    });
    expect(one.accepted).toBeUndefined();
    expect(sent(one, view(all))).toBeUndefined();
    // A complete set has it again, beside what is new.
    expect(sent(one, view([...all, made('new')]))?.resources).toEqual(['good@1', 'bad@1', 'new@1']);
    ask(one, { responseNonce: '2', errorDetail: { code: 3, message: 'Error adding cluster(s) bad: no news' } });
    expect(one.refusal).toMatchObject({ resources: [{ name: 'bad' }] });
    expect(sent(one, view([made('good'), made('bad', '2')]))?.resources).toEqual(['good@1', 'bad@2']);
    ask(one, { responseNonce: '3' });
    expect(one).toMatchObject({ refusal: undefined, accepted: one.sent });
  });

  test('a refused table stays refused while others are accepted, until it is sent again or is gone', () => {
    const one = new StateOfTheWorld(ROUTES);
    const resourceNames = ['a', 'b'];
    ask(one, { resourceNames });
    sent(one, view([made('a'), made('b')]));
    ask(one, { resourceNames, responseNonce: '1', errorDetail: { code: 3, message: 'b is wrong' } });
    const { refusal } = one;
    expect(sent(one, view([made('a', '2'), made('b')]))?.resources).toEqual(['a@2']);
    ask(one, { resourceNames, responseNonce: '2' });
    expect(one.refusal).toBe(refusal);
    expect([...one.refused]).toEqual(['b']);
    expect(sent(one, view([made('a', '2'), made('b', '2')]))?.resources).toEqual(['b@2']);
    ask(one, { resourceNames, responseNonce: '3', errorDetail: { code: 3, message: 'b is wrong again' } });
    expect(one.refusal).toMatchObject({ why: 'b is wrong again' });
    sent(one, view([made('a', '2')]));
    expect(one.refusal).toBeUndefined();
  });

  test('endpoints are repeated on demand, unchanged', () => {
    const one = new StateOfTheWorld(ENDPOINTS);
    const all = view([made('a'), made('b')]);
    ask(one, { resourceNames: ['a', 'b'] });
    sent(one, all);
    one.repeat(['a', 'unasked']);
    expect(sent(one, all)?.resources).toEqual(['a@1']);
    expect(sent(one, all)).toBeUndefined();
  });

  test('a long refusal is cut', () => {
    const one = new StateOfTheWorld(CLUSTER);
    ask(one, {});
    sent(one, view([made('a')]));
    ask(one, { responseNonce: '1', errorDetail: { code: 3, message: 'x'.repeat(1_000_000) } });
    expect(one.refusal?.why.length).toBeLessThan(5000);
  });

  test.for(['-----END EC PRIVATE KEY-----" }', '\\n'])('a refusal of a secret does not show its key: %s', (end) => {
    const one = new StateOfTheWorld(SECRET);
    ask(one, { resourceNames: ['default'] });
    sent(one, view([made('default')]));
    const message = `invalid default: "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\nIBkg${end}`;
    ask(one, { resourceNames: ['default'], responseNonce: '1', errorDetail: { code: 3, message } });
    expect(one.refusal).toMatchObject({ resources: [{ name: 'default' }] });
    expect(one.refusal?.why).toMatch(/^invalid default: "\[private key\]/);
    expect(one.refusal?.why).not.toContain('MHc');
  });
});

describe('delta', () => {
  const ask = (one: Differences, request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void =>
    one.receive(create(DeltaDiscoveryRequestSchema, request));
  function sent(one: Differences, shown: ReturnType<typeof view>) {
    const bytes = one.response(shown);
    if (bytes === undefined) return undefined;
    const { nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    return {
      nonce,
      resources: resources.map(({ name, version, resource }) => `${name} ${version} ${text(resource?.value)}`),
      removed: removedResources.toSorted(),
    };
  }

  test('a first request without names subscribes to all clusters; later only differences are sent', () => {
    const one = new Differences(CLUSTER);
    ask(one, {});
    expect(sent(one, view([made('a'), made('b')]))).toEqual({
      nonce: '1',
      resources: ['a 1 a@1', 'b 1 b@1'],
      removed: [],
    });
    ask(one, { responseNonce: '1' });
    expect(sent(one, view([made('a'), made('b')]))).toBeUndefined();
    expect(sent(one, view([made('b', '2'), made('c')]))).toEqual({
      nonce: '2',
      resources: ['b 2 b@2', 'c 1 c@1'],
      removed: ['a'],
    });
  });

  test('an empty mesh is an answer too', () => {
    const one = new Differences(CLUSTER);
    ask(one, {});
    expect(sent(one, view([]))).toEqual({ nonce: '1', resources: [], removed: [] });
    expect(sent(one, view([]))).toBeUndefined();
  });

  test('after a reconnect only the difference is sent, with the removals of what is gone', () => {
    const one = new Differences(CLUSTER);
    ask(one, { initialResourceVersions: { a: '1', b: '1', gone: '1' } });
    expect(sent(one, view([made('a'), made('b', '2'), made('c')]))).toEqual({
      nonce: '1',
      resources: ['b 2 b@2', 'c 1 c@1'],
      removed: ['gone'],
    });
    const named = new Differences(ENDPOINTS);
    ask(named, { initialResourceVersions: { a: '1', b: '1' }, resourceNamesSubscribe: ['a', 'b', 'c'] });
    expect(sent(named, view([made('a'), made('c')]))).toEqual({ nonce: '1', resources: ['c 1 c@1'], removed: ['b'] });
  });

  test('what a proxy has from an earlier stream is kept until its routes have moved', () => {
    const one = new Differences(CLUSTER);
    ask(one, { initialResourceVersions: { old: '1' } });
    expect(one.hasOwn).toBe(true);
    expect(sent(one, { ...view([made('new')]), keepsOld: true })).toMatchObject({
      resources: ['new 1 new@1'],
      removed: [],
    });
    expect(sent(one, view([made('new')]))).toMatchObject({ resources: [], removed: ['old'] });
  });

  test('each subscription is answered, by removal if there is nothing, and without regard to a nonce', () => {
    const one = new Differences(ENDPOINTS);
    ask(one, { resourceNamesSubscribe: ['a'] });
    expect(sent(one, view([made('a')]))?.resources).toEqual(['a 1 a@1']);
    ask(one, { resourceNamesSubscribe: ['a', 'nobody'], responseNonce: 'old' });
    expect(sent(one, view([made('a')]))).toMatchObject({ resources: ['a 1 a@1'], removed: ['nobody'] });
    ask(one, { resourceNamesUnsubscribe: ['a'] });
    expect(sent(one, view([made('a', '2')]))).toBeUndefined();
    expect(sent(one, view([made('a', '2'), made('nobody')]))).toMatchObject({
      resources: ['nobody 1 nobody@1'],
      removed: [],
    });
  });

  test('unsubscribing a name of a subscription to all is answered with the resource', () => {
    const one = new Differences(CLUSTER);
    ask(one, { resourceNamesSubscribe: ['*', 'a'] });
    sent(one, view([made('a'), made('b')]));
    ask(one, { resourceNamesUnsubscribe: ['a'] });
    expect(sent(one, view([made('a'), made('b')]))?.resources).toEqual(['a 1 a@1']);
  });

  test('a refused version is recorded and not sent again', () => {
    const one = new Differences(CLUSTER);
    ask(one, {});
    sent(one, view([made('a'), made('b')]));
    ask(one, { responseNonce: '1', errorDetail: { code: 3, message: 'b is wrong' } });
    expect(one.refusal).toMatchObject({ resources: [{ name: 'b' }] });
    expect(sent(one, view([made('a'), made('b')]))).toBeUndefined();
    expect(sent(one, view([made('a', '2'), made('b')]))?.resources).toEqual(['a 2 a@2']);
    ask(one, { responseNonce: '2' });
    expect(one.refusal).toMatchObject({ resources: [{ name: 'b' }] }); // that another one is accepted mends nothing
    expect(sent(one, view([made('a', '2'), made('b', '2')]))?.resources).toEqual(['b 2 b@2']);
    ask(one, { responseNonce: '3' });
    expect(one.refusal).toBeUndefined();
  });
});
