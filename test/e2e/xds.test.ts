/** The discovery service with real Envoys, in both forms. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { rootsResource } from '../../src/identity/sds.ts';
import { dialGrpc, listen, type Transport } from '../../src/transport/index.ts';
import {
  CLUSTER,
  ENDPOINTS,
  LISTENER,
  type Proxy,
  type ProxyResources,
  type Refusal,
  type Resource,
  ROUTES,
  SECRET,
  XdsServer,
  type XdsServerOptions,
} from '../../src/xds/index.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { newRoot } from '../parts/identity/test-roots.ts';
import { answerOf, expectNoneLost, type LastingLoad, lastingLoad, type LoadAnswer } from '../parts/lasting-load.ts';
import { startUpstream } from '../parts/upstream.ts';
import { bootstrap, byName, cluster, endpoints, listener, resource, routes } from '../parts/xds-envoy.ts';
import { untilHolds as until } from './sluice.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

interface Mesh {
  readonly server: XdsServer;
  readonly port: number;
  readonly refusals: { readonly proxy: Proxy; readonly refusal: Refusal }[];
  readonly transport: Transport;
  put(all: State): void;
}

const mapped = (version: string, all: State): ProxyResources => ({
  version,
  byType: new Map(Object.entries(all).map(([type, list]) => [type, byName(list)])),
});

type State = Readonly<Record<string, readonly Resource[]>>;

async function controlPlane(first: State, port = 0, options: Partial<XdsServerOptions> = {}): Promise<Mesh> {
  let resources = mapped('0', first);
  let version = 0;
  const refusals: Mesh['refusals'] = [];
  const server = new XdsServer({
    source: {
      connect: () => ({
        resources: () => resources,
        absent: (type, name) => (type === ENDPOINTS ? endpoints(name, []) : undefined),
      }),
    },
    onRefused: (proxy, refusal) => refusals.push({ proxy, refusal }),
    ...options,
  });
  const transport = await listen(server.methods, {
    host: '127.0.0.1',
    port,
    maxMessageBytes: 4 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  ends.push(() => transport.drain(500));
  return {
    server,
    port: transport.port,
    refusals,
    transport,
    put(all) {
      resources = mapped(String(++version), all);
      server.changed();
    },
  };
}

async function envoyOf(
  mesh: Pick<Mesh, 'port'>,
  api: 'GRPC' | 'DELTA_GRPC',
  id = `sidecar~${api}`,
): Promise<EnvoyPart> {
  const adminPort = await freePort();
  const envoy = await startEnvoy({ adminPort, config: bootstrap({ id, xdsPort: mesh.port, adminPort, api }) });
  ends.push(() => envoy.stop());
  return envoy;
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const call = (port: number): Promise<LoadAnswer> => answerOf({ host: '127.0.0.1', port, agent, path: '/' });
const statusOf = async (port: number): Promise<number> => (await call(port)).status;

const load = (port: number, clients: number): LastingLoad => lastingLoad(() => call(port), { clients });

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
function usedBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const isSynced = (mesh: Mesh) => (): boolean => mesh.server.proxies().every((one) => one.isSynced);

/** A listener at `port` whose routes lead to one cluster, by its name. */
const routedTo =
  (port: number, upstreamPort: number) =>
  (to: string): State => ({
    [CLUSTER]: [cluster(to)],
    [ENDPOINTS]: [endpoints(to, [upstreamPort])],
    [LISTENER]: [listener('in', port, 'table')],
    [ROUTES]: [routes('table', to)],
  });

describe.for(['GRPC', 'DELTA_GRPC'] as const)('%s', (api) => {
  test('a new cluster in place of the old one, many times under load, loses no request', async () => {
    const upstream = await startUpstream();
    ends.push(() => upstream.stop());
    const port = await freePort();
    const state = routedTo(port, upstream.httpPort);
    const mesh = await controlPlane(state('v0'));
    const envoy = await envoyOf(mesh, api);
    await until(async () => (await statusOf(port)) === 200);
    const calls = load(port, 4);
    for (let at = 1; at <= 12; at++) {
      mesh.put(state(`v${at}`));
      await until(isSynced(mesh), 10_000);
    }
    await expectNoneLost(calls, { envoy });
    expect(calls.answered).toBeGreaterThan(100);
    expect(mesh.refusals).toEqual([]);
  });

  test('a proxy that takes seconds to accept new clusters keeps the old ones, and its routes, for so long', async () => {
    const upstream = await startUpstream();
    ends.push(() => upstream.stop());
    const port = await freePort();
    const state = routedTo(port, upstream.httpPort);
    const mesh = await controlPlane(state('v0'));
    const envoy = await envoyOf(mesh, api);
    await until(async () => (await statusOf(port)) === 200);
    const calls = load(port, 4);
    for (let at = 1; at <= 3; at++) {
      envoy.freeze();
      mesh.put(state(`v${at}`));
      await sleep(2500);
      envoy.thaw();
      await until(isSynced(mesh), 20_000);
    }
    await expectNoneLost(calls, { envoy });
  });

  test('changes that come faster than a proxy takes them are pushed as one, and the last state holds', async () => {
    const upstream = await startUpstream();
    ends.push(() => upstream.stop());
    const port = await freePort();
    const state = (to: string): State => ({
      [CLUSTER]: [cluster('same', { connect_timeout: to })],
      [ENDPOINTS]: [endpoints('same', [upstream.httpPort])],
      [LISTENER]: [listener('in', port, 'table')],
      [ROUTES]: [routes('table', 'same')],
    });
    const mesh = await controlPlane(state('1s'));
    const envoy = await envoyOf(mesh, api);
    await until(async () => (await statusOf(port)) === 200);
    const calls = load(port, 2);
    for (let at = 1; at <= 1000; at++) mesh.put(state(`${at + 1}s`));
    await until(isSynced(mesh), 20_000);
    await expectNoneLost(calls, { envoy });
    const [proxy] = mesh.server.proxies();
    expect(proxy).toMatchObject({ version: '1000', form: api === 'GRPC' ? 'state of the world' : 'delta' });
    const { 'cluster_manager.cds.update_success': updates = 0 } = await envoy.stats();
    expect(updates).toBeLessThan(100);
  });

  test('a cluster that is refused keeps only the routes back that lead to it', async () => {
    const [upstream, other] = [await startUpstream(), await startUpstream()];
    ends.push(
      () => upstream.stop(),
      () => other.stop(),
    );
    const [port, otherPort] = [await freePort(), await freePort()];
    // As by a DestinationRule whose file the proxy has not.
    const bad = {
      transport_socket: {
        name: 'tls',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
          common_tls_context: { validation_context: { trusted_ca: { filename: '/nowhere/ca.pem' } } },
        },
      },
    };
    const state = (to: string, second: string, extra: readonly Resource[] = []): State => ({
      [CLUSTER]: [cluster('old'), cluster(second), ...extra],
      [ENDPOINTS]: [endpoints('old', [upstream.httpPort]), endpoints(second, [other.httpPort]), endpoints('new', [])],
      [LISTENER]: [listener('in', port, 'table'), listener('beside', otherPort, 'beside')],
      [ROUTES]: [routes('table', to), routes('beside', second)],
    });
    const mesh = await controlPlane(state('old', 'a'));
    const envoy = await envoyOf(mesh, api);
    await until(async () => (await statusOf(port)) === 200 && (await statusOf(otherPort)) === 200);
    const calls = [load(port, 2), load(otherPort, 2)];
    const updates = async (): Promise<number> => (await envoy.stats())['http.beside.rds.beside.config_reload'] ?? 0;
    mesh.put(state('new', 'b', [cluster('new', bad)]));
    await until(async () => (await updates()) === 2, 10_000);
    expect(mesh.refusals).toMatchObject([{ refusal: { typeUrl: CLUSTER, resources: [{ name: 'new' }] } }]);
    const refused = (): unknown => mesh.server.proxies()[0]?.types.find(({ type }) => type === 'Cluster')?.state;
    mesh.put(state('new', 'c', [cluster('new', bad)]));
    await until(async () => (await updates()) === 3, 10_000);
    expect(refused()).toBe('refused');
    expect(mesh.server.proxies()[0]?.isSynced).toBe(false);
    for (const one of calls) await expectNoneLost(one, { envoy });
    mesh.put(state('old', 'c'));
    await until(isSynced(mesh), 10_000);
    expect([await statusOf(port), await statusOf(otherPort)]).toEqual([200, 200]);
  });

  test('a refusal is reported with the object that caused it; routes keep their clusters, and the next state mends it', async () => {
    const upstream = await startUpstream();
    ends.push(() => upstream.stop());
    const port = await freePort();
    const wrong = resource(
      ROUTES,
      'table',
      {
        name: 'table',
        virtual_hosts: [
          { name: 'one', domains: ['*'], routes: [] },
          { name: 'two', domains: ['*'], routes: [] },
        ],
      },
      'VirtualService default/reviews at reviews.yaml:12:3',
    );
    const state = (to: string, table: Resource): State => ({
      [CLUSTER]: [cluster(to)],
      [ENDPOINTS]: [endpoints(to, [upstream.httpPort])],
      [LISTENER]: [listener('in', port, 'table')],
      [ROUTES]: [table],
    });
    const mesh = await controlPlane(state('old', routes('table', 'old')));
    const envoy = await envoyOf(mesh, api);
    await until(async () => (await statusOf(port)) === 200);
    const calls = load(port, 2);
    mesh.put(state('new', wrong));
    await until(() => mesh.refusals.length > 0, 10_000);
    expect(mesh.refusals).toMatchObject([
      {
        refusal: {
          typeUrl: ROUTES,
          resources: [{ name: 'table', origin: 'VirtualService default/reviews at reviews.yaml:12:3' }],
        },
      },
    ]);
    expect(mesh.refusals[0]?.refusal.why).toContain('Only a single wildcard domain');
    expect(mesh.server.proxies()[0]).toMatchObject({ isSynced: false });
    expect(mesh.server.proxies()[0]?.types.find(({ type }) => type === 'RouteConfiguration')?.state).toBe('refused');
    await sleep(500); // long enough for the old cluster to go, if it went
    mesh.put(state('new', routes('table', 'new')));
    await until(isSynced(mesh), 10_000);
    await expectNoneLost(calls, { envoy });
    expect(mesh.refusals).toHaveLength(1);
  });

  test('without its control plane a proxy keeps serving, and takes the newest state when it is back', async () => {
    const upstream = await startUpstream();
    ends.push(() => upstream.stop());
    const port = await freePort();
    const state = (to: string): State => ({
      [CLUSTER]: [cluster(to), cluster('stays')],
      [ENDPOINTS]: [endpoints(to, [upstream.httpPort]), endpoints('stays', [])],
      [LISTENER]: [listener('in', port, 'table')],
      [ROUTES]: [routes('table', to)],
    });
    const first = await controlPlane(state('old'));
    const envoy = await envoyOf(first, api);
    await until(async () => (await statusOf(port)) === 200);
    const calls = load(port, 2);
    await first.transport.drain(0);
    await sleep(300);
    // In state of the world a proxy does not say which clusters it has, so a change while nobody was there breaks before it makes.
    const second = await controlPlane(state(api === 'GRPC' ? 'old' : 'new'), first.port);
    await until(() => second.server.proxies().length === 1 && isSynced(second)(), 30_000);
    second.put(state('new'));
    await until(async () => !('cluster.old.upstream_cx_total' in (await envoy.stats())), 10_000);
    await expectNoneLost(calls, { envoy });
  });
});

/** While it warms a cluster Envoy asks for no clusters, also when it comes back; in delta it says then which it has. */
test('a proxy that comes back while it warms a cluster keeps the old ones for as long as its routes lead there', async () => {
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const port = await freePort();
  const state = routedTo(port, upstream.httpPort);
  // It is warm when the first check is answered.
  const check = { path: '/?ms=6000' };
  const times = { timeout: '30s', interval: '60s', unhealthy_threshold: 1, healthy_threshold: 1 };
  const slow = cluster('slow', { health_checks: [{ ...times, http_health_check: check }] });
  const first = await controlPlane(state('old'));
  const envoy = await envoyOf(first, 'DELTA_GRPC');
  await until(async () => (await statusOf(port)) === 200);
  const calls = load(port, 2);
  first.put({
    ...state('old'),
    [CLUSTER]: [cluster('old'), slow],
    [ENDPOINTS]: ['old', 'slow'].map((name) => endpoints(name, [upstream.httpPort])),
  });
  await until(async () => (await envoy.stats())['cluster_manager.warming_clusters'] === 1);
  await first.transport.drain(0);
  const wrong = resource(ROUTES, 'table', {
    name: 'table',
    virtual_hosts: ['one', 'two'].map((name) => ({ name, domains: ['*'], routes: [] })),
  });
  const second = await controlPlane({ ...state('next'), [ROUTES]: [wrong] }, first.port);
  await until(() => second.refusals.length > 0 && second.server.proxies()[0]?.version === '0');
  const answered = calls.answered;
  await until(() => calls.answered > answered + 100); // by the old cluster, and its endpoints
  second.put(state('next'));
  await until(isSynced(second));
  await until(async () => !('cluster.old.upstream_cx_total' in (await envoy.stats())));
  await expectNoneLost(calls, { envoy });
});

/** In delta the answer to a secret that does not exist is that it does not exist. */
test('a cluster that waits for its secret keeps no newer endpoints from the others', async () => {
  const [before, after] = [await startUpstream(), await startUpstream()];
  ends.push(
    () => before.stop(),
    () => after.stop(),
  );
  const port = await freePort();
  const waiting = cluster('waiting', {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        common_tls_context: {
          validation_context_sds_secret_config: {
            name: 'roots',
            sds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
          },
        },
      },
    },
  });
  const state = (at: number, more: readonly Resource[] = []): State => ({
    [CLUSTER]: [cluster('same'), ...more],
    [ENDPOINTS]: [endpoints('same', [at]), ...more.map(({ name }) => endpoints(name, [at]))],
    [LISTENER]: [listener('in', port, 'table')],
    [ROUTES]: [routes('table', 'same')],
  });
  const mesh = await controlPlane(state(before.httpPort), 0, { times: { acceptMs: 300_000 } });
  const envoy = await envoyOf(mesh, 'GRPC');
  await until(async () => (await statusOf(port)) === 200);
  mesh.put(state(before.httpPort, [waiting]));
  await until(async () => (await envoy.stats())['cluster_manager.warming_clusters'] === 1);
  const updates = async (): Promise<number> => (await envoy.stats())['cluster.same.update_success'] ?? 0;
  const [updatesBefore, calls] = [await updates(), load(port, 2)];
  mesh.put(state(after.httpPort, [waiting]));
  await until(async () => (await updates()) > updatesBefore);
  expect((await envoy.stats())['cluster_manager.warming_clusters']).toBe(1);
  expect(mesh.server.proxies()[0]).toMatchObject({ isSynced: false });
  mesh.put({ ...state(after.httpPort, [waiting]), [SECRET]: [rootsResource('roots', newRoot(Date.now()).pem)] });
  await until(isSynced(mesh));
  await expectNoneLost(calls, { envoy });
});

/** A request has its route before its filters, and looks for the cluster after them. */
test.each([
  ['by an empty 503 if that goes at once', 0, { status: 503, body: '' }],
  ['there while that lingers', 60_000, { status: 200 }],
] as const)('a request to an old cluster that a filter holds is answered %s', async (_what, lingerMs, expected) => {
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const port = await freePort();
  const delay = {
    name: 'envoy.filters.http.fault',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
      delay: { fixed_delay: '2s', percentage: { numerator: 100 } },
    },
  };
  const state = (name: string): State => ({
    [CLUSTER]: [cluster(name)],
    [ENDPOINTS]: [endpoints(name, [upstream.httpPort])],
    [LISTENER]: [listener('in', port, 'table', [delay])],
    [ROUTES]: [routes('table', name)],
  });
  const mesh = await controlPlane(state('old'), 0, { times: { lingerMs } });
  const envoy = await envoyOf(mesh, 'GRPC');
  await until(async () => (await envoy.stats())['listener_manager.workers_started'] === 1);
  const answer = call(port);
  await until(async () => (await envoy.stats())['http.in.fault.active_faults'] === 1);
  mesh.put(state('new'));
  expect(await answer).toMatchObject(expected);
});

test('a proxy that reads nothing costs no memory, and delays no other', async () => {
  const clusters = Array.from({ length: 200 }, (_, at) => cluster(`service-${at}`));
  const mesh = await controlPlane({ [CLUSTER]: clusters });
  const client = dialGrpc(`127.0.0.1:${mesh.port}`);
  ends.push(async () => client.close());
  const over = new AbortController();
  ends.push(async () => over.abort());
  const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
  const first = toBinary(
    DiscoveryRequestSchema,
    create(DiscoveryRequestSchema, { node: { id: 'slow' }, typeUrl: CLUSTER }),
  );
  async function* forever(message: Uint8Array): AsyncGenerator<Uint8Array> {
    yield message;
    await new Promise((resolve) => {
      over.signal.addEventListener('abort', resolve);
    });
  }
  // Streams whose responses nobody reads: the first is asked for, which opens the stream, and no more.
  const unread = Array.from({ length: 20 }, () =>
    client.stream(path, forever(first), { signal: over.signal })[Symbol.asyncIterator](),
  );
  await Promise.all(unread.map((one) => one.next()));
  const before = usedBytes();
  for (let at = 0; at < 1000; at++) {
    mesh.put({ [CLUSTER]: clusters.map((one) => ({ ...one, version: `${one.version}${at}` })) });
    await sleep(1);
  }
  expect(usedBytes() - before).toBeLessThan(32 << 20);
  const quick = dialGrpc(`127.0.0.1:${mesh.port}`);
  ends.push(async () => quick.close());
  for await (const bytes of quick.stream(path, forever(first), { signal: over.signal })) {
    expect(fromBinary(DiscoveryResponseSchema, bytes).resources).toHaveLength(200);
    break;
  }
});

test('two thousand streams are served, one more is refused, and all are forgotten when they end', async () => {
  const mesh = await controlPlane({ [CLUSTER]: [cluster('a')] }, 0, { maxStreams: 2000 });
  const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
  const over = new AbortController();
  const clients = Array.from({ length: 40 }, () => dialGrpc(`127.0.0.1:${mesh.port}`));
  ends.push(async () => clients.forEach((client) => client.close()));
  async function* one(id: string): AsyncGenerator<Uint8Array> {
    yield toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { node: { id }, typeUrl: CLUSTER }));
    await new Promise((resolve) => {
      over.signal.addEventListener('abort', resolve);
    });
  }
  const opened = clients.flatMap((client, at) =>
    Array.from({ length: 50 }, (_, nth) =>
      client.stream(path, one(`p${at}-${nth}`), { signal: over.signal })[Symbol.asyncIterator](),
    ),
  );
  const firsts = await Promise.all(opened.map((stream) => stream.next()));
  expect(firsts.filter(({ done }) => done === false)).toHaveLength(2000);
  await expect(
    clients[0]?.stream(path, one('one more'), { signal: over.signal })[Symbol.asyncIterator]().next(),
  ).rejects.toThrow('the limit is reached');
  over.abort();
  await until(() => mesh.server.proxies().length === 0, 20_000);
});

test('a malformed request, one without a node, and too many types end the stream with a status', async () => {
  const mesh = await controlPlane({});
  const client = dialGrpc(`127.0.0.1:${mesh.port}`);
  ends.push(async () => client.close());
  const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
  const answers = async (...messages: readonly Uint8Array[]): Promise<string> => {
    try {
      for await (const _ of client.stream(path, messages));
      return 'ended';
    } catch (error) {
      return String(error);
    }
  };
  const request = (typeUrl: string, id = 'a'): Uint8Array =>
    toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { node: { id }, typeUrl }));
  expect(await answers(new Uint8Array([0xff, 0xff]))).toContain('malformed');
  expect(await answers(request(CLUSTER, ''))).toContain('no node id');
  expect(await answers(...Array.from({ length: 33 }, (_, at) => request(`type.googleapis.com/t${at}`)))).toContain(
    'at most 32 types',
  );
  expect(await answers(request(CLUSTER))).toBe('ended');
});
