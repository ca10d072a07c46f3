/** The objects that both control planes get: Bookinfo, and a service with rules for each scenario. */
import { parseAllDocuments } from 'yaml';
import type { Manifest } from '../../test/parts/mesh/kubernetes.ts';
import { ODD } from './odd-rules.ts';
import { RULES } from './rules.ts';
import { EGRESS, EXPORTED, FAR } from './visibility.ts';

interface Workload {
  readonly name: string;
  readonly namespace: string;
  /** Of its pods, one each. */
  readonly versions: readonly string[];
  readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: number }[];
  readonly isHeadless?: boolean;
}

const http = (port: number, targetPort = port) => ({ name: 'http', port, targetPort });
const service = (
  name: string,
  versions: readonly string[],
  ports: Workload['ports'],
  namespace = 'default',
): Workload => ({ name, namespace, versions, ports });

const SCENARIOS = (
  'subsets matches rewrites redirects headers retries timeouts faults mirrors cors ports-of-rule outliers hash-header hash-cookie ' +
  'hash-source hash-query tls-disable tls-insecure tls-system tls-revoked tls-credential tls-simple tls-mutual tls-istio round-robin random passthrough warmup distribute failover pool ' +
  'upgrade client-protocol delegating delegated strict two-rules unruled'
).split(' ');

const WORKLOADS: readonly Workload[] = [
  service('productpage', ['v1'], [http(9080)]),
  service('details', ['v1'], [http(9080)]),
  service('reviews', ['v1', 'v2', 'v3'], [http(9080)]),
  service('ratings', ['v1'], [http(9080)]),
  ...SCENARIOS.map((name) => service(name, ['v1', 'v2'], [http(8000, 8080)])),
  service('echo', ['v1', 'v2'], [{ name: 'tcp-echo', port: 9000, targetPort: 9001 }]),
  service('sourced', ['v1'], [{ name: 'tcp-sourced', port: 9000, targetPort: 9001 }]),
  service('database', ['v1'], [{ name: 'tcp-data', port: 9000, targetPort: 9000 }]),
  service(
    'many',
    ['v1'],
    [
      { name: 'http', port: 8000, targetPort: 8080 },
      { name: 'grpc', port: 8081, targetPort: 8081 },
      { name: 'tcp', port: 8082, targetPort: 8082 },
      { name: 'https', port: 8443, targetPort: 8443 },
    ],
  ),
  { ...service('headless', ['v1', 'v2'], [http(8100)]), isHeadless: true },
  { ...service('headless-tcp', ['v1', 'v2'], [{ name: 'tcp', port: 8101, targetPort: 8101 }]), isHeadless: true },
  service('reviews', ['v1'], [http(9080)], 'other'),
  service('narrow', ['v1'], [http(8000, 8080)], 'narrow'),
  service('hidden', ['v1'], [http(8000, 8080)], 'other'),
  ...ODD.map((name) => service(name, ['v1', 'v2'], [http(8000, 8080)])),
  ...FAR.map((name) => service(name, ['v1'], [http(8000, 8080)], 'far')),
  ...Object.keys(EGRESS).map((namespace) => service('web', ['v1'], [http(8000, 8080)], namespace)),
  service('caller', ['v1'], [http(8000, 8080)], 'shop'),
  service('pooled', ['v1'], [http(8000, 8080)], 'pooled'),
];

export const NAMESPACES = ['other', 'narrow', 'far', 'parts', 'shop', 'pooled', ...Object.keys(EGRESS)];

export interface MeshPod {
  readonly object: Manifest;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
}

const head = (apiVersion: string, kind: string, name: string, namespace: string, labels: object = {}) => ({
  apiVersion,
  kind,
  metadata: { name, namespace, labels },
});

const exported = <T extends ReturnType<typeof head>>(service: T): T => {
  const to = service.metadata.namespace === 'far' ? EXPORTED[service.metadata.name] : undefined;
  const metadata = { ...service.metadata, annotations: { 'networking.istio.io/exportTo': to } };
  return to === undefined ? service : { ...service, metadata };
};

export const podsOf = (): readonly MeshPod[] =>
  WORKLOADS.flatMap(({ name, namespace, versions }, at) =>
    versions.map((version, nth) => {
      const ip = `10.244.${at}.${nth + 1}`;
      const labels = { app: name, version, 'security.istio.io/tlsMode': 'istio' };
      return {
        ip,
        labels,
        object: {
          ...head('v1', 'Pod', `${name}-${version}`, namespace, {
            ...labels,
            'topology.kubernetes.io/region': 'eu',
            'topology.kubernetes.io/zone': `eu-${nth + 1}`,
          }),
          spec: {
            serviceAccountName: `of-${name}`,
            nodeName: `node-${nth + 1}`,
            containers: [{ name: 'app', image: 'app' }],
          },
        },
      };
    }),
  );

export const nodes = (): readonly object[] =>
  [1, 2, 3].map((at) => ({
    metadata: {
      name: `node-${at}`,
      labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': `eu-${at}` },
    },
  }));

/** After the pods, which endpoints name. */
export const objects = (): readonly Manifest[] => [
  ...WORKLOADS.flatMap(({ name, namespace, versions, ports, isHeadless }, at) => [
    {
      ...exported(head('v1', 'Service', name, namespace)),
      spec: { selector: { app: name }, ports, clusterIP: isHeadless === true ? 'None' : `10.96.1.${at + 1}` },
    },
    {
      ...head('discovery.k8s.io/v1', 'EndpointSlice', `${name}-1`, namespace, { 'kubernetes.io/service-name': name }),
      addressType: 'IPv4',
      ports: ports.map(({ name: port, targetPort }) => ({ name: port, port: targetPort, protocol: 'TCP' })),
      endpoints: versions.map((version, nth) => ({
        addresses: [`10.244.${at}.${nth + 1}`],
        conditions: { ready: true },
        nodeName: `node-${nth + 1}`,
        zone: `eu-${nth + 1}`,
        targetRef: { kind: 'Pod', name: `${name}-${version}`, namespace },
      })),
    },
  ]),
  ...parseAllDocuments(RULES).map((document) => {
    const object = document.toJS() as Manifest;
    return { ...object, metadata: { ...object.metadata, namespace: object.metadata.namespace ?? 'default' } };
  }),
];
