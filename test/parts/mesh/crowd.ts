/**
 * A large mesh for benches: services of Kubernetes with their EndpointSlices, in namespaces, and rules for some of them.
 * As objects of Kubernetes, so that an API server takes them, too; JSON is YAML.
 */

export interface CrowdSize {
  readonly services: number;
  readonly endpointsOfEach: number;
  readonly namespaces: number;
}

export type KubernetesObject = Readonly<Record<string, unknown>> & {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
};

const PORT = 8080;
/** Every tenth service has subsets and a rule. */
const WITH_RULE = 10;

export const crowdNamespace = (at: number, { namespaces }: CrowdSize): string => `crowd-${at % namespaces}`;
const crowdHost = (at: number, size: CrowdSize): string =>
  `service-${at}.${crowdNamespace(at, size)}.svc.cluster.local`;

/** `10.1.2.3`; `generation` makes another address of the same endpoint. */
const addressOf = (service: number, endpoint: number, generation: number): string =>
  `10.${128 + (generation % 100)}.${service % 250}.${Math.floor(service / 250) * 50 + endpoint + 1}`;

const head = (apiVersion: string, kind: string, name: string, namespace: string, labels?: object) => ({
  apiVersion,
  kind,
  metadata: { name, namespace, ...(labels === undefined ? {} : { labels }) },
});

/** `changed`: how often its first endpoint has moved. */
export const crowdSlice = (at: number, size: CrowdSize, changed = 0): KubernetesObject => ({
  ...head('discovery.k8s.io/v1', 'EndpointSlice', `service-${at}-a`, crowdNamespace(at, size), {
    'kubernetes.io/service-name': `service-${at}`,
  }),
  addressType: 'IPv4',
  ports: [{ name: 'http', port: PORT, protocol: 'TCP' }],
  endpoints: Array.from({ length: size.endpointsOfEach }, (_, nth) => ({
    addresses: [movedAddress(at, nth, nth === 0 ? changed : 0)],
    conditions: { ready: true },
  })),
});

export const movedAddress = (service: number, endpoint: number, changed: number): string =>
  addressOf(service, endpoint, changed);

export const crowdRule = (at: number, size: CrowdSize, changed = 0): KubernetesObject => ({
  ...head('networking.istio.io/v1', 'VirtualService', `service-${at}`, crowdNamespace(at, size)),
  spec: {
    hosts: [crowdHost(at, size)],
    http: [
      {
        match: [{ headers: { 'end-user': { exact: `user-${changed}` } } }],
        route: [{ destination: { host: crowdHost(at, size), subset: 'v1' } }],
      },
      { route: [{ destination: { host: crowdHost(at, size) } }] },
    ],
  },
});

export function crowdObjects(size: CrowdSize): readonly KubernetesObject[] {
  return Array.from({ length: size.services }, (_, at): readonly KubernetesObject[] => {
    const namespace = crowdNamespace(at, size);
    const service = {
      ...head('v1', 'Service', `service-${at}`, namespace),
      spec: {
        clusterIP: `10.96.${1 + Math.floor(at / 250)}.${(at % 250) + 1}`, // 10.96.0.1 is the API server
        ports: [{ name: 'http', port: PORT, targetPort: PORT }],
      },
    };
    const subsets = {
      ...head('networking.istio.io/v1', 'DestinationRule', `service-${at}`, namespace),
      spec: { host: crowdHost(at, size), subsets: [{ name: 'v1', labels: { version: 'v1' } }] },
    };
    return [service, crowdSlice(at, size), ...(at % WITH_RULE === 0 ? [subsets, crowdRule(at, size)] : [])];
  }).flat();
}
