/** The check of connections that are no HTTP, in the resources of proxies; Envoy itself reads all of them. */
import type { JsonObject } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import type { MeshSettings } from '../../../src/mesh/model/mesh.ts';
import { CONTEXT_HEADER, extensionsOf } from '../../../src/text/context-header.ts';
import { LISTENER } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const MESH = `
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: 10.96.0.1, selector: { app: db }, ports: [{ name: http, port: 8080 }, { name: mongo, port: 27017 }, { name: tcp, port: 90, targetPort: 9000 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: db-0, namespace: shop, labels: { app: db, version: v1 } }
spec: { serviceAccountName: keeper }
status: { podIP: 10.0.0.1 }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: edge }
spec:
  selector: { app: ingress }
  servers:
    - { port: { number: 5432, name: tcp, protocol: TCP }, hosts: ["*"] }
    - { port: { number: 8443, name: tls, protocol: TLS }, tls: { mode: PASSTHROUGH }, hosts: [db.example.com] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: front, namespace: edge }
spec:
  hosts: [db.example.com]
  gateways: [front]
  tcp: [{ match: [{ port: 5432 }], route: [{ destination: { host: db.shop.svc.cluster.local, port: { number: 90 } } }] }]
  tls: [{ match: [{ port: 8443, sniHosts: [db.example.com] }], route: [{ destination: { host: db.shop.svc.cluster.local, port: { number: 90 } } }] }]
`;
const DB = 'sidecar~10.0.0.1~db-0.shop~shop.svc.cluster.local';
const GATEWAY = 'router~10.0.0.9~ingress-0.edge~edge.svc.cluster.local';
const SLUICE = { cluster: 'sluice', checkTimeoutMs: 200, limitTimeoutMs: 20, failOpen: false, limitDomain: 'mesh' };
const IDENTITIES = { trustDomain: 'cluster.local', trustDomainAliases: [] };

async function resourcesOf(
  settings: Partial<MeshSettings>,
  id = DB,
  metadata: JsonObject = { SDS_CLUSTER: 'sds-grpc', SERVICE_ACCOUNT: 'keeper' },
): Promise<readonly Made[]> {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': MESH }, settings);
  expect(findings).toEqual([]);
  return resourcesFor(mesh, id, metadata);
}

interface Filter {
  readonly name: string;
  readonly typed_config: {
    readonly cluster?: string;
    readonly failure_mode_allow?: boolean;
    readonly include_peer_certificate?: boolean;
    readonly grpc_service?: {
      readonly timeout: string;
      readonly initial_metadata: readonly { readonly key: string; readonly value: string }[];
    };
  };
}
interface Chain {
  readonly filter_chain_match?: { readonly destination_port?: number };
  readonly filters: readonly Filter[];
}
const chainsOf = (all: readonly Made[], listener: string): readonly Chain[] =>
  named(all, LISTENER, listener)['filter_chains'] as unknown as readonly Chain[];
const EXT_AUTHZ = 'envoy.filters.network.ext_authz';
const TCP_PROXY = 'envoy.filters.network.tcp_proxy';

/** For each chain its port, its filters, and what its check says of the workload. */
const checksOf = (chains: readonly Chain[]): unknown[] =>
  chains.map(({ filter_chain_match: match, filters }) => {
    const [metadata, ...others] = filters[0]?.typed_config.grpc_service?.initial_metadata ?? [];
    expect(others).toEqual([]);
    return {
      port: match?.destination_port ?? 'any',
      filters: filters.map(({ name }) => name),
      ...(metadata === undefined
        ? {}
        : { [metadata.key]: Object.fromEntries(extensionsOf(metadata.value) ?? [['malformed', metadata.value]]) }),
    };
  });

const WORKLOAD = {
  'destination.namespace': 'shop',
  'destination.serviceAccount': 'keeper',
  'destination.workload.name': 'db-0',
  'destination.workload.namespace': 'shop',
  'destination.labels': 'app=db,version=v1',
};
const SERVICE = {
  'destination.service.host': 'db.shop.svc.cluster.local',
  'destination.service.name': 'db',
  'destination.service.namespace': 'shop',
};

test('every chain of a server that is no HTTP asks first, and says for which workload', async () => {
  const all = await resourcesOf({ sluice: SLUICE, identities: IDENTITIES });
  const chains = chainsOf(all, 'virtualInbound');
  const checked = [EXT_AUTHZ, TCP_PROXY];
  const http = { port: 8080, filters: ['envoy.filters.network.http_connection_manager'] };
  const ofPort = (port: number): object => ({
    port,
    filters: checked,
    [CONTEXT_HEADER]: { ...WORKLOAD, ...SERVICE },
  });
  const unknown = { port: 'any', filters: checked, [CONTEXT_HEADER]: WORKLOAD };
  expect(checksOf(chains)).toEqual([
    { port: 15006, filters: [TCP_PROXY] }, // to the black hole
    http,
    http,
    ofPort(9000),
    ofPort(9000),
    ofPort(9000),
    ofPort(27017),
    ofPort(27017),
    ofPort(27017),
    unknown,
    unknown,
    unknown,
  ]);
  expect(chains.at(-1)?.filters[0]?.typed_config).toMatchObject({
    failure_mode_allow: false,
    include_peer_certificate: true,
    include_tls_session: true,
    grpc_service: { envoy_grpc: { cluster_name: 'sluice' }, timeout: '0.2s' },
  });
  expect(checksOf(chainsOf(all, '10.0.0.1_9000'))).toEqual([1, 2, 3].map(() => ({ ...ofPort(9000), port: 'any' })));
  expect(JSON.stringify(chainsOf(all, 'virtualOutbound'))).not.toContain(EXT_AUTHZ);
  expect(await validate(all)).toContain('OK');
});

test('a gateway asks about its connections, too', async () => {
  const all = await resourcesOf({ sluice: SLUICE }, GATEWAY, { LABELS: { app: 'ingress' } });
  for (const listener of ['0.0.0.0_5432', '0.0.0.0_8443'])
    expect(checksOf(chainsOf(all, listener))).toMatchObject([
      {
        filters: [EXT_AUTHZ, TCP_PROXY],
        [CONTEXT_HEADER]: { 'destination.namespace': 'edge', 'destination.labels': 'app=ingress' },
      },
    ]);
  expect(await validate(all)).toContain('OK');
});

test('connections pass while Sluice is away if the mesh says so, and none asks without Sluice', async () => {
  const open = await resourcesOf({ sluice: { ...SLUICE, failOpen: true } });
  expect(chainsOf(open, '10.0.0.1_9000')[0]?.filters[0]?.typed_config.failure_mode_allow).toBe(true);
  expect(JSON.stringify(await resourcesOf({}))).not.toContain(EXT_AUTHZ);
});

test('a workload of odd names is described in a header that Envoy takes as it is', async () => {
  const labels = { app: 'db', odd: '%REQ(x)% "\\ \u00f6' };
  const all = await resourcesOf({ sluice: SLUICE }, DB, { LABELS: labels });
  expect(checksOf(chainsOf(all, '10.0.0.1_9000'))).toMatchObject([
    { [CONTEXT_HEADER]: { 'destination.labels': `app=db,odd=${labels.odd}` } },
  ]);
  expect(await validate(all)).toContain('OK');
});

test('connections to a workload that no header can describe are closed, and its other ports serve', async () => {
  const labels = { app: 'db', long: 'x'.repeat(15 * 1024) };
  const all = await resourcesOf({ sluice: SLUICE }, DB, { LABELS: labels });
  const chains = chainsOf(all, 'virtualInbound');
  expect(chains.map(({ filters }) => filters.at(-1)?.typed_config.cluster ?? 'http')).toEqual([
    'BlackHoleCluster',
    'http',
    'BlackHoleCluster',
    'BlackHoleCluster',
    'BlackHoleCluster',
  ]);
  expect(JSON.stringify(chains)).not.toContain(EXT_AUTHZ);
  expect(await validate(all)).toContain('OK');
});
