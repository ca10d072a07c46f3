/** Real Envoys that do not accept what they were sent: clusters that stay cold, and routes that stay refused. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { connectStreams, listen, type Transport } from '../../src/transport/index.ts';
import {
  CLUSTER,
  ENDPOINTS,
  LISTENER,
  type Refusal,
  type Resource,
  ROUTES,
  type Warming,
  XdsServer,
} from '../../src/xds/index.ts';
import { AdsClient } from '../parts/ads-client.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { answerOf, expectNoneLost, type LastingLoad, lastingLoad, type LoadAnswer } from '../parts/lasting-load.ts';
import { serviceEntry } from '../parts/mesh/service-entry.ts';
import { startUpstream } from '../parts/upstream.ts';
import { bootstrap, byName, cluster, endpoints, listener, resource, routes } from '../parts/xds-envoy.ts';
import { program, run } from './command.ts';
import { untilHolds as until } from './sluice.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

type State = Readonly<Record<string, readonly Resource[]>>;

interface Plane {
  readonly server: XdsServer;
  readonly refusals: Refusal[];
  readonly warming: Warming[];
  put(state: State): void;
}

/** With an Envoy. */
async function plane(
  api: 'GRPC' | 'DELTA_GRPC',
  first: State,
  acceptMs: number,
): Promise<Plane & { envoy: EnvoyPart }> {
  let [state, version] = [first, 0];
  const [refusals, warming]: [Refusal[], Warming[]] = [[], []];
  const byType = (): ReadonlyMap<string, ReadonlyMap<string, Resource>> =>
    new Map(Object.entries(state).map(([type, list]) => [type, byName(list)]));
  const server = new XdsServer({
    source: { connect: () => ({ resources: () => ({ version: String(version), byType: byType() }) }) },
    times: { acceptMs, yieldMs: 200, lingerMs: 50 },
    onRefused: (_proxy, refusal) => refusals.push(refusal),
    onWarming: (_proxy, clusters) => warming.push(...clusters),
  });
  const transport: Transport = await listen(server.methods, {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 4 << 20,
    onFault: (path, error) => {
      throw new Error(path, { cause: error });
    },
  });
  ends.push(() => transport.drain(500));
  const adminPort = await freePort();
  const config = bootstrap({ id: `sidecar~${api}`, xdsPort: transport.port, adminPort, api });
  const envoy = await startEnvoy({ adminPort, config });
  ends.push(() => envoy.stop());
  return {
    server,
    refusals,
    warming,
    envoy,
    put(next) {
      state = next;
      version++;
      server.changed();
    },
  };
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const call = (port: number): Promise<LoadAnswer> => answerOf({ host: '127.0.0.1', port, agent, path: '/' });
const load = (port: number): LastingLoad => lastingLoad(() => call(port), { clients: 2 });

async function upstreamPort(): Promise<number> {
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  return upstream.httpPort;
}

/** A server whose first answer waits until it is released. */
async function heldHealth(): Promise<{ port: number; release(): void }> {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const server = createServer((_request, response) => void released.then(() => response.end()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(async () => {
    release();
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, release };
}

describe.for(['GRPC', 'DELTA_GRPC'] as const)('%s', (api) => {
  test('a cluster that stays cold is named; routes to it wait for it, and no others', async () => {
    const at = await upstreamPort();
    const [port, otherPort] = [await freePort(), await freePort()];
    const state = (to: string, second: string, more: readonly Resource[] = [], moreAt = at): State => ({
      [CLUSTER]: [cluster('old'), cluster(second), ...more],
      [ENDPOINTS]: [
        ...['old', second].map((name) => endpoints(name, [at])),
        ...more.map(({ name }) => endpoints(name, [moreAt])),
      ],
      [LISTENER]: [listener('in', port, 'table'), listener('beside', otherPort, 'beside')],
      [ROUTES]: [routes('table', to), routes('beside', second)],
    });
    const mesh = await plane(api, state('old', 'a'), 1000);
    const { envoy, server } = mesh;
    await until(async () => (await call(port)).status === 200 && (await call(otherPort)).status === 200);
    const calls = [load(port), load(otherPort)];
    // It is warm when the first check is answered.
    const health = await heldHealth();
    const times = { timeout: '60s', interval: '60s', unhealthy_threshold: 1, healthy_threshold: 1 };
    const cold = cluster('cold', { health_checks: [{ ...times, http_health_check: { path: '/' } }] });
    mesh.put(state('cold', 'b', [cold], health.port));
    const reloads = async (table: string): Promise<number> =>
      (await envoy.stats())[`http.${table === 'table' ? 'in' : table}.rds.${table}.config_reload`] ?? 0;
    await until(async () => (await reloads('beside')) === 2);
    // An Envoy without CPU accepts others late, too.
    await until(
      () =>
        server
          .proxies()[0]
          ?.warming.map(({ name }) => name)
          .join() === 'cold',
    );
    expect(mesh.warming).toContainEqual(
      expect.objectContaining({ name: 'cold', why: expect.stringContaining('the first check of health') }),
    );
    expect(server.proxies()[0]?.isSynced).toBe(false);
    expect(await reloads('table')).toBe(1);
    health.release();
    await until(() => server.proxies().every(({ isSynced }) => isSynced));
    await until(async () => (await reloads('table')) === 2); // without a further change
    expect(server.proxies()[0]?.warming).toEqual([]);
    await until(async () => ((await envoy.stats())['cluster.cold.upstream_rq_200'] ?? 0) > 10);
    for (const one of calls) await expectNoneLost(one, { envoy });
  });

  test('tables beside one that is refused are sent again without it, since Envoy ends there', async () => {
    const at = await upstreamPort();
    const ports = await Promise.all(Array.from({ length: 8 }, () => freePort()));
    const wrong = resource(ROUTES, 't2', {
      name: 't2',
      virtual_hosts: ['one', 'two'].map((name) => ({ name, domains: ['*'], routes: [] })),
    });
    const state = (to: string, second: Resource): State => ({
      [CLUSTER]: [cluster('old'), cluster('new')],
      [ENDPOINTS]: ['old', 'new'].map((name) => endpoints(name, [at])),
      [LISTENER]: ports.map((port, nth) => listener(`l${nth}`, port, `t${nth}`)),
      [ROUTES]: ports.map((_port, nth) => (nth === 2 ? second : routes(`t${nth}`, to))),
    });
    const mesh = await plane(api, state('old', routes('t2', 'old')), 10_000);
    const { server, envoy, refusals } = mesh;
    const tablesOf = async (count: number): Promise<readonly string[]> => {
      const stats = await envoy.stats();
      return ports.flatMap((_port, nth) =>
        stats[`http.l${nth}.rds.t${nth}.config_reload`] === count ? [`t${nth}`] : [],
      );
    };
    await until(async () => (await tablesOf(1)).length === ports.length);
    await until(() => server.proxies().every(({ isSynced }) => isSynced));
    mesh.put(state('new', wrong));
    await until(async () => (await tablesOf(2)).length === ports.length - 1);
    expect(await tablesOf(1)).toEqual(['t2']);
    expect(refusals).toMatchObject([{ resources: [{ name: 't2' }] }]);
    expect(server.proxies()[0]?.types.find(({ type }) => type === 'RouteConfiguration')?.state).toBe('refused');
  });

  test('old clusters of routes that stay refused are bounded, and those of the routes in force stay', async () => {
    const at = await upstreamPort();
    const port = await freePort();
    const state = (to: string, table: Resource): State => ({
      [CLUSTER]: [cluster(to)],
      [ENDPOINTS]: [endpoints(to, [at])],
      [LISTENER]: [listener('in', port, 'table')],
      [ROUTES]: [table],
    });
    const wrong = resource(ROUTES, 'table', {
      name: 'table',
      virtual_hosts: ['one', 'two'].map((name) => ({ name, domains: ['*'], routes: [] })),
    });
    const mesh = await plane(api, state('old', routes('table', 'old')), 10_000);
    const { envoy, server } = mesh;
    await until(async () => (await call(port)).status === 200);
    const calls = load(port);
    const CHANGES = 140;
    for (let change = 1; change <= CHANGES; change++) {
      mesh.put(state(`v${change}`, wrong));
      await until(() => server.proxies()[0]?.version === String(change));
    }
    await until(async () => `cluster.v${CHANGES}.upstream_cx_total` in (await envoy.stats()));
    const names = Object.keys(await envoy.stats()).filter((name) =>
      /^cluster\.(v\d+|old)\.upstream_cx_total$/.test(name),
    );
    expect(names).toContain('cluster.old.upstream_cx_total');
    expect(names.length).toBeLessThanOrEqual(110);
    mesh.put(state('new', routes('table', 'new')));
    await until(async () => !('cluster.old.upstream_cx_total' in (await envoy.stats())));
    await expectNoneLost(calls, { envoy });
  });
});

test('a cluster that waits for a secret is named with it', async () => {
  const common_tls_context = {
    validation_context_sds_secret_config: {
      name: 'roots-of-bank',
      sds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
    },
  };
  const typed_config = {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    common_tls_context,
  };
  const bank = cluster('bank', { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config } });
  const state = (...more: readonly Resource[]): State => ({
    [CLUSTER]: [cluster('other'), ...more],
    [ENDPOINTS]: ['other', 'bank'].map((name) => endpoints(name, [])),
  });
  const mesh = await plane('GRPC', state(), 500);
  mesh.put(state(bank));
  await until(() => mesh.warming.length > 0);
  expect(mesh.warming).toMatchObject([{ name: 'bank', why: expect.stringContaining('the secret roots-of-bank') }]);
});

test('sluice mesh logs clusters that a proxy does not accept, and its status names them with their rule', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-late-'));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'mesh.yaml'), serviceEntry('reviews', [{ address: '127.0.10.1' }]));
  const [xds, admin] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const started = await program(['mesh', folder, '--xds', xds, '--admin', admin], /Ctrl-C stops it/);
  ends.push(() => started.stop());
  const [host, port] = xds.split(':') as [string, string];
  const connection = await connectStreams({ host, port: Number(port) }, { withinMs: 30_000 });
  ends.push(async () => connection.close());
  const metadata = { LABELS: {}, INTERCEPTION_MODE: 'NONE' };
  const id = 'sidecar~127.0.10.9~web.default~default.svc.cluster.local';
  new AdsClient(connection, { id, metadata, isDelta: true, isSilent: true });
  await started.said(/a proxy has not accepted clusters, and refuses none.*web\.default/);
  const { out, code } = await run(['mesh', 'status', '--to', admin]);
  expect(code).toBe(1);
  expect(out).toMatch(/^web\.default +stale/m);
  expect(out).toContain(
    'web.default has not accepted the cluster outbound|9080||reviews.default.svc.cluster.local: perhaps',
  );
  expect(out).toContain('mesh.yaml:4');
});
