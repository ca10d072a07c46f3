/** What a sidecar gets whose connections are intercepted. */
import { describe, expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const SLUICE = { cluster: 'sluice', checkTimeoutMs: 200, limitTimeoutMs: 20, failOpen: true, limitDomain: 'mesh' };

const MESH = `
apiVersion: v1
kind: Service
metadata: { name: reviews, creationTimestamp: "2026-01-01T00:00:00Z" }
spec:
  clusterIP: 10.96.0.1
  selector: { app: reviews }
  ports:
    - { name: http, port: 9080, targetPort: web }
    - { name: grpc-admin, port: 9090, targetPort: 9091 }
    - { name: tcp-debug, port: 7000 }
    - { name: udp-dns, port: 53, protocol: UDP }
---
apiVersion: v1
kind: Service
metadata: { name: reviews-again, creationTimestamp: "2026-02-01T00:00:00Z" }
spec: { clusterIP: 10.96.0.7, selector: { app: reviews }, ports: [{ name: tcp, port: 80, targetPort: web }] }
---
apiVersion: v1
kind: Service
metadata: { name: ratings }
spec: { clusterIP: 10.96.0.2, clusterIPs: [10.96.0.2, "fd00::2"], selector: { app: ratings }, ports: [{ name: http, port: 9080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: mysql }
spec: { clusterIP: 10.96.0.3, selector: { app: mysql }, ports: [{ name: mysql, port: 3306 }, { name: redis, port: 6379 }] }
---
apiVersion: v1
kind: Service
metadata: { name: mongo }
spec: { clusterIP: None, selector: { app: mongo }, ports: [{ name: mongo, port: 27017 }, { name: http-status, port: 28017 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: books }
spec:
  hosts: [books.example.com, "*.cdn.example.com"]
  resolution: NONE
  ports: [{ number: 443, name: tls, protocol: TLS }, { number: 80, name: http, protocol: HTTP }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: legacy }
spec: { hosts: [legacy.example.com], addresses: [192.0.2.0/24], resolution: NONE, ports: [{ number: 4000, name: tcp, protocol: TCP }] }
---
apiVersion: v1
kind: Pod
metadata: { name: reviews-v1, labels: { app: reviews } }
spec: { containers: [{ ports: [{ name: web, containerPort: 8080 }] }] }
status: { podIP: 10.0.0.1, conditions: [{ type: Ready, status: "False" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: mongo-0, labels: { app: mongo } }
status: { podIP: 10.0.0.2 }
---
apiVersion: v1
kind: Pod
metadata: { name: mongo-1, labels: { app: mongo } }
status: { podIP: 10.0.0.3 }
`;
const ID = 'sidecar~10.0.0.1~reviews-v1.default~default.svc.cluster.local';

interface Listener {
  readonly bind_to_port?: boolean;
  readonly filter_chains: readonly Chain[];
  readonly default_filter_chain?: Chain;
}
interface Chain {
  readonly filter_chain_match?: object;
  readonly filters: readonly {
    readonly name: string;
    readonly typed_config: { readonly cluster?: string; readonly route_config?: { readonly name: string } };
  }[];
}

const asListener = (all: readonly Made[], name: string): Listener => named(all, LISTENER, name) as unknown as Listener;
/** Each chain with the cluster that it leads to, or the table of its routes. */
const chainsOf = (all: readonly Made[], name: string): readonly (readonly [object, string | undefined])[] =>
  asListener(all, name).filter_chains.map(({ filter_chain_match: match = {}, filters }) => {
    const own = filters.at(-1)?.typed_config;
    return [match, own?.cluster ?? own?.route_config?.name];
  });
const REFUSED = [{ source_type: 'SAME_IP_OR_LOOPBACK' }, 'BlackHoleCluster'];

async function resourcesOf(
  metadata: Readonly<Record<string, string>> = {},
  more = '',
  id = ID,
): Promise<readonly Made[]> {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': MESH + more }, { sluice: SLUICE });
  expect(findings).toEqual([]);
  return resourcesFor(mesh, id, metadata);
}

describe('a sidecar whose connections are redirected', async () => {
  const all = await resourcesOf();

  test('has the two listeners of interception, and others that are found by the address of a call', () => {
    expect(names(all, LISTENER)).toEqual([
      'virtualInbound',
      '10.0.0.1_7000',
      '10.0.0.1_8080',
      '10.0.0.1_9091',
      '0.0.0.0_80',
      '10.96.0.7_80',
      '0.0.0.0_443',
      '10.96.0.3_3306',
      '0.0.0.0_4000',
      '10.96.0.3_6379',
      '10.96.0.1_7000',
      '0.0.0.0_9080',
      '0.0.0.0_9090',
      '10.0.0.2_27017',
      '10.0.0.3_27017',
      '0.0.0.0_28017',
      'virtualOutbound',
    ]);
    for (const name of names(all, LISTENER))
      expect(asListener(all, name).bind_to_port, name).toBe(name.startsWith('virtual') ? undefined : false);
  });

  test('calls to unknown addresses pass, and those to the port of interception do not', () => {
    expect(named(all, LISTENER, 'virtualOutbound')).toMatchObject({
      address: { socket_address: { address: '0.0.0.0', port_value: 15001 } },
      use_original_dst: true,
      traffic_direction: 'OUTBOUND',
    });
    expect(chainsOf(all, 'virtualOutbound')).toEqual([
      [{ destination_port: 15001 }, 'BlackHoleCluster'],
      REFUSED,
      [{}, 'PassthroughCluster'],
    ]);
  });

  test('with REGISTRY_ONLY, of the mesh or of its Sidecar, they end', async () => {
    const sidecar = `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default }
spec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
`;
    const closed = await resourcesOf({}, sidecar);
    expect(chainsOf(closed, 'virtualOutbound').at(-1)).toEqual([{}, 'BlackHoleCluster']);
    expect(JSON.stringify(named(closed, ROUTES, '9080'))).toContain('block_all');
    expect(JSON.stringify(asListener(closed, '0.0.0.0_443').default_filter_chain)).toContain('BlackHoleCluster');
  });

  test('calls to its ports are told apart by the port of the endpoint; the oldest service says the protocol', () => {
    expect(named(all, LISTENER, 'virtualInbound')).toMatchObject({
      address: { socket_address: { address: '0.0.0.0', port_value: 15006 } },
      listener_filters: [{ name: 'envoy.filters.listener.original_dst' }],
      traffic_direction: 'INBOUND',
    });
    expect(chainsOf(all, 'virtualInbound')).toEqual([
      [{ destination_port: 15006 }, 'BlackHoleCluster'],
      [{ destination_port: 7000 }, 'inbound|7000||'],
      [{ destination_port: 8080 }, 'inbound|8080||'],
      [{ destination_port: 9091 }, 'inbound|9091||'],
      [{}, 'InboundPassthroughCluster'],
    ]);
    expect(JSON.stringify(asListener(all, 'virtualInbound').filter_chains[2])).toContain('http_connection_manager');
    expect(JSON.stringify(asListener(all, 'virtualInbound').filter_chains[1])).toContain('tcp_proxy');
    expect(JSON.stringify(asListener(all, 'virtualInbound').filter_chains[2])).toContain(
      '"destination.service.host":"reviews.default.svc.cluster.local"',
    );
  });

  test('its application is called at the address that was called, from a source that is not intercepted', () => {
    for (const name of ['inbound|8080||', 'InboundPassthroughCluster'])
      expect(named(all, CLUSTER, name)).toMatchObject({
        type: 'ORIGINAL_DST',
        lb_policy: 'CLUSTER_PROVIDED',
        upstream_bind_config: { source_address: { address: '127.0.0.6' } },
      });
    expect(JSON.stringify(named(all, CLUSTER, 'inbound|9091||'))).toContain('"http2_protocol_options"');
  });

  test('under the rules of Istio 1.0 its ports are found by their address, and lead to 127.0.0.1', () => {
    const cluster = 'inbound|9080||reviews.default.svc.cluster.local';
    expect(chainsOf(all, '10.0.0.1_8080')).toEqual([[{}, cluster]]);
    expect(named(all, CLUSTER, cluster)).toMatchObject({ type: 'STATIC' });
    expect(JSON.stringify(named(all, CLUSTER, cluster))).toContain('"address":"127.0.0.1","port_value":8080');
    expect(named(all, CLUSTER, cluster)).not.toHaveProperty('upstream_bind_config');
  });

  test('all HTTP services of a port share a listener, which refuses what comes back to its own pod', () => {
    expect(chainsOf(all, '0.0.0.0_9080')).toEqual([REFUSED, [{}, undefined]]);
    const text = JSON.stringify(named(all, ROUTES, '9080'));
    expect(text).toContain('"10.96.0.1"');
    expect(text).toContain('"[fd00::2]"');
  });

  test('other services have their address to themselves, and one without address a range, or a name', () => {
    expect(chainsOf(all, '10.96.0.3_3306')).toEqual([[{}, 'outbound|3306||mysql.default.svc.cluster.local']]);
    expect(chainsOf(all, '0.0.0.0_4000')).toEqual([
      REFUSED,
      [{ prefix_ranges: [{ address_prefix: '192.0.2.0', prefix_len: 24 }] }, 'outbound|4000||legacy.example.com'],
    ]);
    expect(asListener(all, '0.0.0.0_4000').default_filter_chain).toMatchObject({
      filters: [{ typed_config: { cluster: 'PassthroughCluster' } }],
    });
    expect(chainsOf(all, '0.0.0.0_443')).toEqual([
      REFUSED,
      [{ server_names: ['*.cdn.example.com'], transport_protocol: 'tls' }, 'outbound|443||*.cdn.example.com'],
      [{ server_names: ['books.example.com'], transport_protocol: 'tls' }, 'outbound|443||books.example.com'],
    ]);
    expect(JSON.stringify(asListener(all, '0.0.0.0_443'))).toContain('envoy.filters.listener.tls_inspector');
    expect(JSON.stringify(asListener(all, '0.0.0.0_4000'))).not.toContain('tls_inspector');
  });

  test('of a headless service the application chooses a pod', () => {
    const cluster = 'outbound|27017||mongo.default.svc.cluster.local';
    expect(chainsOf(all, '10.0.0.2_27017')).toEqual([REFUSED, [{}, cluster]]);
    expect(named(all, CLUSTER, cluster)).toMatchObject({ type: 'ORIGINAL_DST' });
    expect(names(all, ENDPOINTS)).not.toContain(cluster);
    expect(JSON.stringify(named(all, ROUTES, '28017'))).toContain('"*.mongo.default.svc.cluster.local"');
  });

  test('a pod of it does not find itself there, and a gateway chooses for its client', async () => {
    const own = await resourcesOf({}, '', 'sidecar~10.0.0.2~mongo-0.default~default.svc.cluster.local');
    expect(chainsOf(own, '10.0.0.2_27017')).toEqual([[{}, 'inbound|27017||mongo.default.svc.cluster.local']]);
    const gateway = await resourcesOf({}, '', 'router~10.0.0.9~gateway.default~default.svc.cluster.local');
    expect(named(gateway, CLUSTER, 'outbound|27017||mongo.default.svc.cluster.local')).toMatchObject({ type: 'EDS' });
    expect(names(gateway, LISTENER)).toEqual([]);
  });

  test('calls go to pods that are ready; one that is not yet has its listeners all the same', () => {
    expect(named(all, ENDPOINTS, 'outbound|9080||reviews.default.svc.cluster.local')).toEqual({
      cluster_name: 'outbound|9080||reviews.default.svc.cluster.local',
      endpoints: [],
    });
  });

  test('Envoy accepts it', async () => expect(await validate(all)).toContain('OK'));
});

describe('a sidecar with TPROXY', async () => {
  const all = await resourcesOf({ INTERCEPTION_MODE: 'TPROXY' });

  test('accepts connections to other addresses, and calls its application from the address of the client', () => {
    expect(named(all, LISTENER, 'virtualOutbound')).toMatchObject({ transparent: true });
    expect(named(all, LISTENER, 'virtualInbound')).toMatchObject({
      transparent: true,
      listener_filters: [
        { name: 'envoy.filters.listener.original_dst' },
        { name: 'envoy.filters.listener.original_src', typed_config: { mark: 1337 } },
      ],
    });
  });

  test('Envoy accepts it', async () => expect(await validate(all)).toContain('OK'));
});

describe('a Sidecar of an intercepted workload', async () => {
  const all = await resourcesOf(
    {},
    `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: reviews }
spec:
  workloadSelector: { labels: { app: reviews } }
  ingress:
    - { port: { number: 8080, name: http, protocol: HTTP }, defaultEndpoint: "127.0.0.1:18080" }
    - { port: { number: 8081, name: http-own, protocol: HTTP }, defaultEndpoint: "0.0.0.0:18081" }
    - { port: { number: 8082, name: tcp, protocol: TCP } }
    - { port: { number: 8083, name: http-bound, protocol: HTTP }, bind: 10.0.0.1, captureMode: NONE, defaultEndpoint: "unix:///run/app" }
  egress:
    - { port: { number: 9080, name: http, protocol: HTTP }, bind: 127.0.0.1, captureMode: NONE, hosts: ["*/*"] }
    - { port: { number: 3306, name: mysql, protocol: MYSQL }, hosts: ["*/*"] }
    - { hosts: ["*/mysql.default.svc.cluster.local", "*/reviews.default.svc.cluster.local"] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 }, http: { h2UpgradePolicy: UPGRADE } } } }
`,
    ID,
  );

  test('says which ports its application has, and where it listens', () => {
    expect(chainsOf(all, 'virtualInbound')).toEqual([
      [{ destination_port: 15006 }, 'BlackHoleCluster'],
      [{ destination_port: 8080 }, 'inbound|8080||'],
      [{ destination_port: 8081 }, 'inbound|8081||'],
      [{ destination_port: 8082 }, 'inbound|8082||'],
      [{}, 'InboundPassthroughCluster'],
    ]);
    expect(chainsOf(all, '10.0.0.1_8083')).toEqual([[{}, 'inbound|8083||']]);
    expect(asListener(all, '10.0.0.1_8083').bind_to_port).toBeUndefined();
    const at = (name: string): string => JSON.stringify(named(all, CLUSTER, name));
    expect(at('inbound|8080||')).toContain('"address":"127.0.0.1","port_value":18080');
    expect(at('inbound|8081||')).toContain('"address":"10.0.0.1","port_value":18081');
    expect(at('inbound|8081||')).toContain('127.0.0.6');
    expect(at('inbound|8082||')).toContain('ORIGINAL_DST');
    expect(at('inbound|8083||')).toContain('"path":"/run/app"');
    // Under the rules of Istio 1.0 only 127.0.0.1 is not intercepted.
    expect(chainsOf(all, '10.0.0.1_8080')).toEqual([[{}, 'inbound|8080||']]);
    expect(at('inbound|8081||reviews.default')).toContain('"address":"127.0.0.1","port_value":18081');
  });

  test('opens ports for some services, and intercepts calls to others', () => {
    expect(names(all, LISTENER).filter((name) => !name.startsWith('10.0.0.1_'))).toEqual([
      'virtualInbound',
      '127.0.0.1_9080',
      '10.96.0.3_3306',
      '10.96.0.3_6379',
      '10.96.0.1_7000',
      '0.0.0.0_9080',
      '0.0.0.0_9090',
      'virtualOutbound',
    ]);
    expect(asListener(all, '127.0.0.1_9080').bind_to_port).toBeUndefined();
  });

  test('the application takes as many connections as the rule of its service lets clients open', () => {
    expect(named(all, CLUSTER, 'inbound|8080||')).toMatchObject({
      circuit_breakers: { thresholds: [{ max_connections: 7 }] },
    });
    expect(JSON.stringify(named(all, CLUSTER, 'inbound|8080||'))).not.toContain('http2');
  });

  test('Envoy accepts it', async () => expect(await validate(all)).toContain('OK'));
});

describe('rules for connections', () => {
  const rules = (spec: string): Promise<readonly Made[]> =>
    resourcesOf(
      {},
      `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: connections }
spec: ${spec}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: mysql }
spec: { host: mysql, trafficPolicy: { connectionPool: { tcp: { idleTimeout: 90s } } } }
`,
    );

  test('tell subnets of the destination apart, and the first without any has the rest', async () => {
    const all = await rules(
      '{ hosts: [mysql], tcp: [' +
        '{ match: [{ destinationSubnets: [10.96.0.3, "10.97.0.0/16"] }], route: [{ destination: { host: mysql, port: { number: 6379 } } }] }, ' +
        '{ match: [{ gateways: [other] }, { sourceNamespace: other }], route: [{ destination: { host: reviews } }] }, ' +
        '{ route: [{ destination: { host: mongo, port: { number: 27017 } } }] }] }',
    );
    expect(chainsOf(all, '10.96.0.3_3306')).toEqual([
      [
        {
          prefix_ranges: [
            { address_prefix: '10.96.0.3', prefix_len: 32 },
            { address_prefix: '10.97.0.0', prefix_len: 16 },
          ],
        },
        'outbound|6379||mysql.default.svc.cluster.local',
      ],
      [{}, 'outbound|27017||mongo.default.svc.cluster.local'],
    ]);
    expect(JSON.stringify(named(all, LISTENER, '10.96.0.3_3306'))).toContain('"idle_timeout":"90s"');
    expect(await validate(all)).toContain('OK');
  });

  test('tell server names apart, each with its own destination', async () => {
    const all = await rules(
      '{ hosts: ["*.cdn.example.com"], tls: [' +
        '{ match: [{ sniHosts: [a.cdn.example.com] }], route: [{ destination: { host: books.example.com, port: { number: 443 } } }] }, ' +
        '{ match: [{ sniHosts: ["*.cdn.example.com"], port: 443 }], route: [{ destination: { host: legacy.example.com, port: { number: 443 } } }] }] }',
    );
    expect(chainsOf(all, '0.0.0.0_443').slice(1, 3)).toEqual([
      [{ server_names: ['a.cdn.example.com'], transport_protocol: 'tls' }, 'outbound|443||books.example.com'],
      [{ server_names: ['*.cdn.example.com'], transport_protocol: 'tls' }, 'outbound|443||legacy.example.com'],
    ]);
    expect(await validate(all)).toContain('OK');
  });

  test('a server name that Envoy would refuse is refused at its line', async () => {
    const { findings } = await readMesh({
      'rule.yaml': `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: partial }
spec: { hosts: ["*.example.com"], tls: [{ match: [{ sniHosts: ["*-a.example.com"] }], route: [{ destination: { host: a } }] }] }
`,
    });
    expect(findings.join()).toMatch(/^rule\.yaml:5:64 MESH_FIELD .*expected a server name of TLS/);
  });
});

describe('ports of several services', () => {
  const both = (older: string, younger: string): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: older, creationTimestamp: "2025-01-01T00:00:00Z" }
spec: { hosts: [older.example.com], resolution: DNS, ports: [{ number: 5000, name: a, protocol: ${older} }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: younger, creationTimestamp: "2026-01-01T00:00:00Z" }
spec: { hosts: [a-younger.example.com], resolution: DNS, ports: [{ number: 5000, name: a, protocol: ${younger} }] }
`;

  test.each([
    ['TCP', 'HTTP', 'outbound|5000||older.example.com'],
    ['HTTP', 'TCP', undefined],
    ['TCP', 'TCP', 'outbound|5000||older.example.com'],
  ])('of %s and %s without addresses the older service has the port', async (older, younger, cluster) => {
    expect(chainsOf(await resourcesOf({}, both(older, younger)), '0.0.0.0_5000')).toEqual([REFUSED, [{}, cluster]]);
  });

  test.each(['192.0.2.9/32', '2001:db8::9/128'])('a range of one address is that address: %s', async (range) => {
    const own = both('HTTP', 'TCP').replace('hosts: [a-', `addresses: ["${range}"], hosts: [a-`);
    const [address] = range.split('/');
    expect(chainsOf(await resourcesOf({}, own), `${address}_5000`)).toEqual([
      [{}, 'outbound|5000||a-younger.example.com'],
    ]);
  });

  test('TLS is told apart by server names, and other connections go to the older', async () => {
    const all = await resourcesOf({}, both('TLS', 'TCP'));
    expect(chainsOf(all, '0.0.0.0_5000')).toEqual([
      REFUSED,
      [{ server_names: ['older.example.com'], transport_protocol: 'tls' }, 'outbound|5000||older.example.com'],
      [{}, 'outbound|5000||a-younger.example.com'],
    ]);
    expect(await validate(all)).toContain('OK');
  });

  test('the ports of interception stay its own', async () => {
    const own = both('HTTP', 'HTTP').replaceAll('5000', '15001');
    expect(names(await resourcesOf({}, own), LISTENER)).not.toContain('0.0.0.0_15001');
  });
});

test('a pod of IPv6 is intercepted at IPv6 addresses', async () => {
  const all = await resourcesOf({}, '', 'sidecar~fd00::1~reviews-v1.default~default.svc.cluster.local');
  expect(named(all, LISTENER, 'virtualInbound')).toMatchObject({ address: { socket_address: { address: '::' } } });
  expect(named(all, CLUSTER, 'InboundPassthroughCluster')).toMatchObject({
    upstream_bind_config: { source_address: { address: '::6' } },
  });
  expect(await validate(all)).toContain('OK');
});
