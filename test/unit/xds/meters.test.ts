/** What a discovery server counts: responses, refused streams, and how long a change takes to be accepted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { connectStreams, GrpcError, listen, Status } from '../../../src/transport/index.ts';
import { CLUSTER, ENDPOINTS, type ProxyState, XdsServer, type XdsServerOptions } from '../../../src/xds/index.ts';
import { untilHolds as until } from '../../e2e/sluice.ts';
import { AdsClient } from '../../parts/ads-client.ts';
import { byName, cluster, endpoints } from '../../parts/xds-envoy.ts';

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function serve(options: Partial<XdsServerOptions> = {}) {
  const pushed: string[] = [];
  const accepted: number[] = [];
  const refusedStreams: number[] = [];
  let version = 0;
  let byType = new Map([[CLUSTER, byName([cluster('v0')])]]);
  const server = new XdsServer({
    source: {
      connect: () => ({
        resources: () => ({ version: String(version), byType }),
        absent: (type, name) => (type === ENDPOINTS ? endpoints(name, []) : undefined),
      }),
    },
    meters: {
      pushed: (typeUrl) => pushed.push(typeUrl),
      accepted: (ms) => accepted.push(ms),
      streamRefused: (code) => refusedStreams.push(code),
    },
    ...options,
  });
  const transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 1 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  const connection = await connectStreams({ host: '127.0.0.1', port: transport.port }, { withinMs: 10_000 });
  ends.push(
    () => transport.drain(0),
    () => connection.close(),
  );
  const state = (id: string): ProxyState | undefined => server.proxies().find(({ proxy }) => proxy.id === id);
  return {
    pushed,
    accepted,
    refusedStreams,
    open: (id: string, isDelta: boolean, more: { refuses?: boolean; onOver?: (why: GrpcError) => void } = {}) =>
      new AdsClient(connection, { id, isDelta, ...more }),
    /** `beforeMs`: how long ago the change was. */
    put(timeout: string, beforeMs = 0): void {
      version++;
      byType = new Map([[CLUSTER, byName([cluster('v0', { connect_timeout: timeout })])]]);
      server.changed(performance.now() - beforeMs);
    },
    repeat(): void {
      version++;
      server.changed();
    },
    isSynced: (id: string): boolean => state(id)?.version === String(version) && state(id)?.isSynced === true,
    isRefused: (id: string): boolean =>
      state(id)?.version === String(version) && state(id)?.types.some((one) => one.state === 'refused') === true,
  };
}

test.for([false, true])(
  'a change is measured once for each proxy that it brings something, since the change; delta: %s',
  async (isDelta) => {
    const plane = await serve();
    plane.open('a', isDelta);
    plane.open('b', isDelta);
    await until(() => plane.isSynced('a') && plane.isSynced('b'));
    expect(plane.accepted).toEqual([]); // a proxy that connects is no change
    plane.put('3s', 5000);
    await until(() => plane.accepted.length === 2);
    for (const ms of plane.accepted) expect(ms).toBeGreaterThan(5000);
    for (const ms of plane.accepted) expect(ms).toBeLessThan(15_000);
    plane.repeat(); // the same resources
    await until(() => plane.isSynced('a') && plane.isSynced('b'));
    await sleep(50);
    expect(plane.accepted).toHaveLength(2);
    expect(plane.pushed.filter((typeUrl) => typeUrl === CLUSTER)).toHaveLength(4);
  },
);

test.for([false, true])('a change that a proxy refuses is not measured; delta: %s', async (isDelta) => {
  const plane = await serve();
  plane.open('a', isDelta);
  plane.open('b', isDelta, { refuses: true });
  await until(() => plane.isSynced('a') && plane.isRefused('b'));
  plane.put('3s');
  await until(() => plane.isSynced('a') && plane.isRefused('b'));
  await sleep(50);
  expect(plane.accepted).toHaveLength(1);
});

test('streams that are refused are counted by their code', async () => {
  const plane = await serve({
    maxStreams: 1,
    authenticate: async () => {
      if (failure !== undefined) throw failure;
      return undefined;
    },
  });
  let failure: unknown;
  const refused = async (id: string): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<GrpcError>();
    plane.open(id, true, { onOver: resolve });
    await promise;
  };
  await refused('');
  failure = new GrpcError(Status.UNAUTHENTICATED, 'no');
  await refused('a');
  failure = undefined;
  plane.open('a', true);
  await until(() => plane.isSynced('a'));
  await refused('b');
  expect(plane.refusedStreams).toEqual([Status.INVALID_ARGUMENT, Status.UNAUTHENTICATED, Status.RESOURCE_EXHAUSTED]);
});
