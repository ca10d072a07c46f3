/** The bootstrap that `sluice sidecar` makes of Istio's arguments and environment. */
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
    ['mutual TLS with the control plane', ['--controlPlaneAuthPolicy', 'MUTUAL_TLS'], {}, 'Allowed choices are NONE'],
  ] as const)('refuses %s', async ([, args, env, expected]) => {
    const { code, err } = await run(['sidecar', '--print', ...args], { env: { ...WORKLOAD, ...env } });
    expect(code).toBe(2);
    expect(err).toContain(expected);
  });

  test('says which program it cannot run', async () => {
    const { code, err } = await run(['sidecar', '--binaryPath', '/no/such/envoy'], { env: WORKLOAD });
    expect(code).not.toBe(0);
    expect(err).toContain('/no/such/envoy does not start');
  });
});
