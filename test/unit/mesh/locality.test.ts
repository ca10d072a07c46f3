/** Which endpoints calls prefer: by localities, as istiod orders them. */
import { describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINTS } from '../../../src/xds/index.ts';
import { readMesh } from '../../parts/mesh/read-mesh.ts';
import { named, resourcesFor, validate } from '../../parts/mesh/resources.ts';

const ID = 'sidecar~10.0.0.1~web-1.default~default.svc.cluster.local';
const NAME = 'outbound|80||web.default.svc.cluster.local';

const mesh = (loadBalancer: string, more = 'outlierDetection: { consecutive5xxErrors: 1 }'): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web }
spec:
  hosts: [web.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints:
    - { address: 10.0.0.1, locality: us/a/1 }
    - { address: 10.0.0.2, locality: us/a/2, weight: 3 }
    - { address: 10.0.0.3, locality: us/b, labels: { version: v2 } }
    - { address: 10.0.0.4, locality: eu/a }
    - { address: 10.0.0.5, locality: asia/a, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web }
spec: { host: web, trafficPolicy: { ${loadBalancer}${more} } }
`;

interface Assignment {
  readonly endpoints: readonly {
    readonly locality?: { readonly region: string; readonly zone?: string; readonly sub_zone?: string };
    readonly priority?: number;
    readonly load_balancing_weight?: number;
    readonly lb_endpoints: readonly {
      readonly endpoint: { readonly address: { readonly socket_address: { readonly address: string } } };
    }[];
  }[];
}

interface Seen {
  /** Last part of each address; priority; share. */
  readonly groups: readonly (readonly [string, number | undefined, number | undefined])[];
  readonly isWeighted: boolean;
}

async function seen(text: string, metadata: object = {}): Promise<Seen> {
  const { mesh: read, findings } = await readMesh({ 'mesh.yaml': text });
  expect(findings).toEqual([]);
  const all = resourcesFor(read, ID, metadata as never);
  expect(await validate(all)).toContain('OK');
  const { endpoints } = named(all, ENDPOINTS, NAME) as unknown as Assignment;
  return {
    groups: endpoints.map(({ lb_endpoints: own, priority, load_balancing_weight: share }) => [
      own.map(({ endpoint }) => endpoint.address.socket_address.address.slice('10.0.0.'.length)).join(),
      priority,
      share,
    ]),
    isWeighted: 'locality_weighted_lb_config' in (named(all, CLUSTER, NAME)['common_lb_config'] as object),
  };
}

describe('without a setting', () => {
  test('nearer endpoints come first where failing ones are ejected; without that all are equal', async () => {
    expect(await seen(mesh(''))).toEqual({
      groups: [
        ['5', 3, undefined],
        ['4', 3, undefined],
        ['1', undefined, undefined],
        ['2', 1, undefined],
        ['3', 2, undefined],
      ],
      isWeighted: false,
    });
    expect((await seen(mesh('', ''))).groups.every(([, priority]) => priority === undefined)).toBe(true);
  });

  test('a proxy is where its labels say, else its endpoint', async () => {
    const first = async (labels: object): Promise<unknown> =>
      (await seen(mesh(''), { LABELS: labels })).groups.find(([, priority]) => priority === undefined);
    expect(await first({ 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'a' })).toEqual([
      '4',
      undefined,
      undefined,
    ]);
    expect(await first({ 'istio-locality': 'us.b' })).toEqual(['3', undefined, undefined]);
    expect(await first({})).toEqual(['1', undefined, undefined]);
  });

  test('a rule may turn it off', async () => {
    const off = await seen(mesh('loadBalancer: { localityLbSetting: { enabled: false } }, '));
    expect(off.groups.every(([, priority]) => priority === undefined)).toBe(true);
  });
});

describe('failover', () => {
  test('goes to the region that is named before all others', async () => {
    const rule = 'loadBalancer: { localityLbSetting: { failover: [{ from: us, to: asia }] } }, ';
    expect(await seen(mesh(rule))).toEqual({
      groups: [
        ['5', 3, 1],
        ['4', 4, 1],
        ['1', undefined, 1],
        ['2', 1, 3],
        ['3', 2, 1],
      ],
      isWeighted: true,
    });
  });

  test('by labels counts those that are equal from the first on', async () => {
    const rule =
      'loadBalancer: { localityLbSetting: { failoverPriority: ["version=v2", "topology.kubernetes.io/region"] } }, ';
    expect(await seen(mesh(rule))).toEqual({
      groups: [
        ['5', 1, 1],
        ['4', 2, 1],
        ['1', 2, 1],
        ['2', 2, 3],
        ['3', undefined, 1],
      ],
      isWeighted: true,
    });
  });
});

describe('distribution', () => {
  test('gives shares to localities, of several within one by their weights, and none to the others', async () => {
    const rule =
      'loadBalancer: { localityLbSetting: { distribute: [{ from: eu/*, to: { "us/*": 100 } }, { from: us/a/*, to: { "us/a/*": 80, "eu/*": 20 } }] } }';
    expect(await seen(mesh(rule, ''))).toEqual({
      groups: [
        ['4', undefined, 20],
        ['1', undefined, 20],
        ['2', undefined, 60],
      ],
      isWeighted: true,
    });
  });

  test('has no effect on callers elsewhere', async () => {
    const rule = 'loadBalancer: { localityLbSetting: { distribute: [{ from: mars, to: { "us/*": 100 } }] } }';
    expect((await seen(mesh(rule, ''))).groups).toHaveLength(5);
  });
});

test.each([
  ['distribute: [{ from: us, to: { us: 90 } }]', 'the shares come to 90; expected 100'],
  ['failover: [{ from: us, to: us }]', 'expected another region than from'],
  ['failover: [{ from: us/a, to: eu }]', 'expected the name of a region, without / and *'],
  [
    'distribute: [{ from: us, to: { us: 100 } }], failover: [{ from: us, to: eu }]',
    'expected one of distribute and failover',
  ],
  [
    'failover: [{ from: us, to: eu }], failoverPriority: [topology.kubernetes.io/zone]',
    'topology.kubernetes.io/zone says the same as failover; expected one of them',
  ],
])('the setting { %s } is refused', async (setting, why) => {
  const { findings } = await readMesh({ 'mesh.yaml': mesh(`loadBalancer: { localityLbSetting: { ${setting} } }`, '') });
  expect(findings.join()).toContain(why);
});

test('a new endpoint gets its share of calls little by little', async () => {
  const { mesh: read } = await readMesh({
    'mesh.yaml': mesh(
      'loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 30s, minimumPercent: 20, aggression: 1.5 } }',
      '',
    ),
  });
  const all = resourcesFor(read, ID, {});
  expect(named(all, CLUSTER, NAME)).toMatchObject({
    lb_policy: 'ROUND_ROBIN',
    round_robin_lb_config: {
      slow_start_config: {
        slow_start_window: '30s',
        min_weight_percent: { value: 20 },
        aggression: { default_value: 1.5 },
      },
    },
  });
  expect(await validate(all)).toContain('OK');
  const { mesh: old } = await readMesh({ 'mesh.yaml': mesh('loadBalancer: { warmupDurationSecs: 10s }', '') });
  expect(named(resourcesFor(old, ID, {}), CLUSTER, NAME)).toMatchObject({
    least_request_lb_config: { slow_start_config: { slow_start_window: '10s' } },
  });
});
