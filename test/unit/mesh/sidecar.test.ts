/** The bootstrap that `sluice sidecar` makes of Istio's arguments and environment. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { run } from '../../e2e/command.ts';

const WORKLOAD = {
  POD_NAME: 'reviews-v1-5d8',
  POD_NAMESPACE: 'shop',
  INSTANCE_IP: '10.1.2.3',
  SERVICE_ACCOUNT: 'reviews',
  ISTIO_META_INTERCEPTION_MODE: 'NONE',
  ISTIO_METAJSON_LABELS: '{"app":"reviews"}',
};

const address = (host: string, port: number) => ({ address: { socket_address: { address: host, port_value: port } } });

describe('sluice sidecar', () => {
  test('takes the arguments of 1.0.2, and says who the workload is', async () => {
    const { code, out } = await run(
      [
        'sidecar',
        'sidecar',
        '--print',
        '--configPath',
        '/etc/istio/proxy',
        '--binaryPath',
        '/usr/local/bin/envoy',
        '--serviceCluster',
        'reviews',
        '--drainDuration',
        '45s',
        '--parentShutdownDuration',
        '1m0s',
        '--discoveryAddress',
        'istio-pilot.istio-system:15010',
        '--discoveryRefreshDelay',
        '1s',
        '--zipkinAddress',
        'zipkin.istio-system:9411',
        '--connectTimeout',
        '10s',
        '--proxyAdminPort',
        '15000',
        '--controlPlaneAuthPolicy',
        'NONE',
        '--sluiceAddress',
        '127.0.0.1:9091',
      ],
      { env: WORKLOAD },
    );
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      node: {
        id: 'sidecar~10.1.2.3~reviews-v1-5d8.shop~shop.svc.cluster.local',
        cluster: 'reviews',
        metadata: {
          NAMESPACE: 'shop',
          LABELS: { app: 'reviews' },
          INTERCEPTION_MODE: 'NONE',
          SERVICE_ACCOUNT: 'reviews',
        },
      },
      static_resources: {
        clusters: [
          { name: 'xds', type: 'STRICT_DNS', connect_timeout: '10s' },
          { name: 'sluice', type: 'STATIC' },
        ],
      },
    });
  });

  test.for([
    ['labels that are no JSON', [], { ISTIO_METAJSON_LABELS: '{' }, 'ISTIO_METAJSON_LABELS is not JSON'],
    [
      'a duration without a unit',
      ['--drainDuration', '5'],
      {},
      '--drainDuration is "5"; expected a duration, such as 45s',
    ],
    [
      'mutual TLS with the control plane, and no authority',
      ['--controlPlaneAuthPolicy', 'MUTUAL_TLS'],
      {},
      '--controlPlaneAuthPolicy MUTUAL_TLS needs a certificate; give the authority that signs it by --caAddress',
    ],
  ] as const)('refuses %s', async ([, args, env, expected]) => {
    const { code, err } = await run(['sidecar', '--print', ...args], { env: { ...WORKLOAD, ...env } });
    expect(code).toBe(2);
    expect(err).toContain(expected);
  });

  test.for([
    ['differences', [], {}, 'DELTA_GRPC'],
    ['the state of the world by its flag', ['--stateOfTheWorld'], {}, 'GRPC'],
    ["the state of the world by the word of Istio's agent", [], { ISTIO_DELTA_XDS: 'false' }, 'GRPC'],
  ] as const)('asks for %s', async ([, args, env, expected]) => {
    const { out } = await run(['sidecar', '--print', ...args], { env: { ...WORKLOAD, ...env } });
    expect(JSON.parse(out).dynamic_resources.ads_config.api_type).toBe(expected);
  });

  test('says which file has the CA certificates of its operating system, unless the environment does', async () => {
    const rootsBy = async (env: Readonly<Record<string, string>>): Promise<unknown> =>
      ((await clustersOf([], env)).metadata as Record<string, unknown>)['SYSTEM_ROOTS'];
    const found = await rootsBy({});
    expect(found === undefined || existsSync(found as string)).toBe(true);
    expect(await rootsBy({ ISTIO_META_SYSTEM_ROOTS: '/etc/roots.pem' })).toBe('/etc/roots.pem');
  });

  const clustersOf = async (
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly metadata: object; readonly clusters: readonly { readonly name: string }[] }> => {
    const { code, out } = await run(['sidecar', '--print', ...args], { env: { ...WORKLOAD, ...env } });
    expect(code).toBe(0);
    const { node, static_resources } = JSON.parse(out);
    return { metadata: node.metadata, clusters: static_resources.clusters };
  };

  test("with an authority the proxy has its secrets from a socket, and calls the authority's port by mutual TLS", async () => {
    const { metadata, clusters } = await clustersOf(['--configPath', '/etc/istio/proxy'], {
      CA_ADDR: 'istiod.mesh:15012',
    });
    expect(metadata).toMatchObject({ SDS_CLUSTER: 'sds-grpc' });
    const fromAgent = (name: string) => ({
      name,
      sds_config: { api_config_source: { grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }] } },
    });
    expect(clusters).toMatchObject([
      {
        name: 'xds',
        load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: address('istiod.mesh', 15012) }] }] },
        transport_socket: {
          typed_config: {
            sni: 'istiod.mesh',
            common_tls_context: {
              tls_certificate_sds_secret_configs: [fromAgent('default')],
              combined_validation_context: {
                default_validation_context: {
                  match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'istiod.mesh' } }],
                },
                validation_context_sds_secret_config: fromAgent('ROOTCA'),
              },
            },
          },
        },
      },
      {
        name: 'sds-grpc',
        load_assignment: {
          endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: '/etc/istio/proxy/sds/socket' } } } }] }],
        },
      },
    ]);
  });

  test('with an authority and a control plane in cleartext it has certificates, and calls in cleartext', async () => {
    const { metadata, clusters } = await clustersOf(
      '--caAddress 127.0.0.1:15012 --discoveryAddress 127.0.0.1:15010 --controlPlaneAuthPolicy NONE'.split(' '),
    );

    expect(metadata).toMatchObject({ SDS_CLUSTER: 'sds-grpc' });
    expect(clusters.map(({ name }) => name)).toEqual(['xds', 'sds-grpc']);
    expect(clusters[0]).not.toHaveProperty('transport_socket');
    expect(clusters[0]).toMatchObject({
      load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: address('127.0.0.1', 15010) }] }] },
    });
  });

  test('says which program it cannot run', async () => {
    const { code, err } = await run(['sidecar', '--binaryPath', '/no/such/envoy'], { env: WORKLOAD });
    expect(code).not.toBe(0);
    expect(err).toContain('/no/such/envoy does not start');
  });
});
