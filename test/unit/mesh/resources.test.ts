/** What proxies get; every resource is encoded, and read by Envoy itself. */
import { describe, expect, test } from 'vitest';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import type { Mesh } from '../../../src/mesh/model/mesh.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { fixture, readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, names, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const SLUICE = { cluster: 'sluice', checkTimeoutMs: 200, limitTimeoutMs: 20, failOpen: true, limitDomain: 'mesh' };
const TEXTS = { 'services.yaml': fixture('services.yaml'), 'rules.yaml': fixture('rules.yaml') };

const resources = (mesh: Mesh, id: string, labels: Readonly<Record<string, string>> = {}): readonly Made[] =>
  resourcesFor(mesh, id, { LABELS: labels, INTERCEPTION_MODE: 'NONE' });

const REVIEWS = [
  'sidecar~127.0.10.1~reviews-v1.default~default.svc.cluster.local',
  { app: 'reviews', version: 'v1' },
] as const;
const GATEWAY = [
  'router~127.0.10.9~gateway.istio-system~istio-system.svc.cluster.local',
  { istio: 'ingressgateway' },
] as const;

describe('a sidecar without interception', async () => {
  const { mesh, findings } = await readMesh(TEXTS, { sluice: SLUICE });
  const all = resources(mesh, ...REVIEWS);

  test('the mesh has no findings', () => expect(findings).toEqual([]));

  test('has a cluster for each subset at the port of its egress, those of its own ports, and the special ones', () => {
    expect(names(all, CLUSTER)).toEqual([
      'BlackHoleCluster',
      'PassthroughCluster',
      'outbound|9080||ratings.default.svc.cluster.local',
      'outbound|9080||reviews.default.svc.cluster.local',
      'outbound|9080|v1|reviews.default.svc.cluster.local',
      'outbound|9080|v2|reviews.default.svc.cluster.local',
      'inbound|9080||',
    ]);
  });

  test('a subset has the endpoints with its labels, and its policy replaces that of the host block by block', () => {
    const cluster = (subset: string): Made['json'] =>
      named(all, CLUSTER, `outbound|9080|${subset}|reviews.default.svc.cluster.local`);
    expect(cluster('v1')).toMatchObject({ lb_policy: 'RANDOM' });
    expect(cluster('v2')).toMatchObject({
      lb_policy: 'RING_HASH',
      circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 1 }] },
      outlier_detection: {
        enforcing_consecutive_5xx: 0,
        consecutive_gateway_failure: 1,
        enforcing_consecutive_gateway_failure: 100,
        interval: '1s',
        base_ejection_time: '180s',
        max_ejection_percent: 100,
      },
    });
    expect(named(all, ENDPOINTS, 'outbound|9080|v2|reviews.default.svc.cluster.local')).toEqual({
      cluster_name: 'outbound|9080|v2|reviews.default.svc.cluster.local',
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.10.2', port_value: 9080 } } } }] },
      ],
    });
    expect(JSON.stringify(named(all, ENDPOINTS, 'outbound|9080||ratings.default.svc.cluster.local'))).toContain(
      '127.0.10.3',
    );
  });

  test('opens the ports that its Sidecar names', () => {
    expect(names(all, LISTENER)).toEqual(['127.0.10.1_9080', '127.0.30.1_9080']);
    expect(named(all, CLUSTER, 'inbound|9080||')).toMatchObject({ type: 'STATIC' });
    expect(JSON.stringify(named(all, CLUSTER, 'inbound|9080||'))).toContain('"port_value":19081');
  });

  test('routes a service by its rules in the order written, and others by default', () => {
    const table = named(all, ROUTES, '9080') as unknown as {
      virtual_hosts: { name: string; domains: string[]; routes: Made['json'][] }[];
    };
    expect(table.virtual_hosts.map(({ name, domains }) => [name, domains])).toEqual([
      [
        'ratings.default.svc.cluster.local:9080',
        [
          'ratings.default.svc.cluster.local',
          'ratings.default.svc.cluster.local.',
          'ratings',
          'ratings.default',
          'ratings.default.svc',
        ],
      ],
      [
        'reviews.default.svc.cluster.local:9080',
        [
          'reviews.default.svc.cluster.local',
          'reviews.default.svc.cluster.local.',
          'reviews',
          'reviews.default',
          'reviews.default.svc',
        ],
      ],
      ['allow_any', ['*']],
    ]);
    const routes = table.virtual_hosts[1]?.routes ?? [];
    expect(routes).toMatchObject([
      {
        match: { prefix: '/', headers: [{ name: 'end-user', string_match: { exact: 'jason' } }] },
        route: { cluster: 'outbound|9080|v2|reviews.default.svc.cluster.local', timeout: '0s' },
      },
      {
        match: {
          safe_regex: { regex: '/r.*' },
          query_parameters: [{ name: 'slow', string_match: { exact: '1' } }],
          headers: [{ name: 'x-fast', present_match: true, invert_match: true }],
        },
        route: {
          timeout: '0.5s',
          prefix_rewrite: '/rewritten',
          host_rewrite_literal: 'other',
          retry_policy: {
            num_retries: 3,
            per_try_timeout: '2s',
            retry_on: '5xx,retriable-status-codes',
            retriable_status_codes: [503],
          },
          request_mirror_policies: [{ cluster: 'outbound|9080|v2|reviews.default.svc.cluster.local' }],
        },
        request_headers_to_remove: ['x-gone'],
        typed_per_filter_config: {
          'envoy.filters.http.fault': {
            delay: { fixed_delay: '7s', percentage: { numerator: 10, denominator: 'HUNDRED' } },
            abort: { http_status: 500, percentage: { numerator: 125000, denominator: 'MILLION' } },
          },
          'envoy.filters.http.cors': { max_age: '86400' },
        },
      },
      { match: { prefix: '/old' }, redirect: { path_redirect: '/new', host_redirect: 'books.example.com' } },
      {
        match: { prefix: '/' },
        route: {
          weighted_clusters: {
            clusters: [
              { name: 'outbound|9080|v1|reviews.default.svc.cluster.local', weight: 50 },
              { name: 'outbound|9080|v2|reviews.default.svc.cluster.local', weight: 50 },
            ],
          },
        },
      },
    ]);
  });

  test('its checks carry the workload and the service that are called', () => {
    const text = JSON.stringify(named(all, LISTENER, '127.0.10.1_9080'));
    expect(text).toContain('"destination.service.host":"reviews.default.svc.cluster.local"');
    expect(text).toContain('"destination.labels":"app=reviews,version=v1"');
    expect(JSON.stringify(named(all, LISTENER, '127.0.30.1_9080'))).not.toContain('ext_authz');
  });

  test('Envoy accepts it', async () => expect(await validate(all)).toContain('OK'));
});

describe('a sidecar without a Sidecar', async () => {
  const { mesh } = await readMesh(TEXTS);
  const all = resources(mesh, 'sidecar~127.0.10.7~other.shop~shop.svc.cluster.local');

  test('opens each port number of the mesh on 127.0.0.1', () => {
    expect(names(all, LISTENER)).toEqual(['127.0.0.1_80', '127.0.0.1_443', '127.0.0.1_9080', '127.0.0.1_27017']);
  });

  test('of another namespace it does not know services by their short names', () => {
    expect(JSON.stringify(named(all, ROUTES, '9080'))).not.toContain('"reviews",');
    expect(JSON.stringify(named(all, ROUTES, '9080'))).toContain('"reviews.default"');
  });

  test('Envoy accepts it', async () => expect(await validate(all)).toContain('OK'));
});

describe('a gateway', async () => {
  const { mesh } = await readMesh(TEXTS, { sluice: SLUICE });
  const all = resources(mesh, ...GATEWAY);

  test('opens the ports of the Gateways that select it, with the hosts of their VirtualServices', () => {
    expect(names(all, LISTENER)).toEqual(['0.0.0.0_80']);
    expect(named(all, ROUTES, 'http.80')).toMatchObject({
      virtual_hosts: [
        {
          name: '*:80',
          domains: ['*'],
          routes: [{ match: { path: '/productpage' } }, { match: { prefix: '/api/v1/products' } }],
          typed_per_filter_config: {
            'envoy.filters.http.ext_authz': {
              check_settings: { context_extensions: { 'destination.workload.name': 'gateway' } },
            },
          },
        },
      ],
    });
    expect(named(all, LISTENER, '0.0.0.0_80')).toMatchObject({
      filter_chains: [{ filters: [{ typed_config: { use_remote_address: true } }] }],
    });
  });

  test('that no Gateway selects opens none', () => {
    expect(names(resources(mesh, GATEWAY[0], { istio: 'other' }), LISTENER)).toEqual([]);
  });

  test('Envoy accepts it', async () => expect(await validate(all)).toContain('OK'));
});

test('every resource names the object that it comes from', async () => {
  const { mesh } = await readMesh(TEXTS);
  const origins = resources(mesh, ...REVIEWS).map(({ name, origin }) => `${name}: ${origin}`);
  expect(origins).toContainEqual(
    expect.stringMatching(/^9080: VirtualService default\/reviews at rules\.yaml:\d+:19$/),
  );
  expect(origins).toContainEqual(
    expect.stringMatching(/^outbound\|9080\|v1\|reviews\..*: DestinationRule default\/reviews at rules\.yaml:\d+:19$/),
  );
});
