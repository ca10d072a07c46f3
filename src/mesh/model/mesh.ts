/**
 * **In**: the objects of a mesh. **Out**: its services with their endpoints, and its rules; frozen. **Fails**: never; what objects refer to
 * and nobody declares is absent.
 */
import { isIP } from 'node:net';
import type { MeshObject, MeshObjects } from '../sources/objects.ts';
import type { KubernetesService, ServiceEntry } from '../rules/services.ts';
import type { Endpoint, Service, ServicePort } from './model.ts';
import { protocolOf } from './port-protocol.ts';

export interface MeshSettings {
  /** `cluster.local` */
  readonly domain: string;
  /** Whose Sidecars and rules hold for all namespaces. */
  readonly rootNamespace: string;
  readonly outbound: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  /** Absent: proxies neither ask nor report. */
  readonly sluice?: SluiceSettings | undefined;
}

/** Where proxies find Sluice; its cluster is static in their bootstrap, since an unknown one is accepted and fails silently. */
export interface SluiceSettings {
  readonly cluster: string;
  readonly checkTimeoutMs: number;
  readonly limitTimeoutMs: number;
  /** Whether calls pass while Sluice is away. */
  readonly failOpen: boolean;
  readonly limitDomain: string;
}

export const DEFAULT_SETTINGS: MeshSettings = {
  domain: 'cluster.local',
  rootNamespace: 'istio-system',
  outbound: 'ALLOW_ANY',
};

export interface Mesh {
  readonly settings: MeshSettings;
  /** By host, in the order of hosts. */
  readonly services: ReadonlyMap<string, Service>;
  /** By host. */
  readonly endpoints: ReadonlyMap<string, readonly Endpoint[]>;
  /** Oldest first. */
  readonly rules: Pick<MeshObjects, 'VirtualService' | 'DestinationRule' | 'Gateway' | 'Sidecar'>;
}

/** A pod or another machine that a service may select. */
interface Workload {
  readonly namespace: string;
  readonly address: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly serviceAccount: string | undefined;
  readonly locality: string | undefined;
  readonly weight: number | undefined;
  /** By name of the port. */
  readonly ports: Readonly<Record<string, number>>;
}

export function meshOf(objects: MeshObjects, settings: MeshSettings = DEFAULT_SETTINGS): Mesh {
  const workloads = workloadsOf(objects);
  const services = new Map<string, Service>();
  const endpoints = new Map<string, readonly Endpoint[]>();
  const slices = endpointsByService(objects, workloads);
  // The oldest object that declares a host wins.
  const add = (service: Service, own: readonly Endpoint[]): void => {
    if (services.has(service.host)) return;
    services.set(service.host, service);
    endpoints.set(service.host, own);
  };
  for (const object of objects.Service) {
    const service = kubernetesServiceOf(object, settings);
    if (service !== undefined) add(service, slices(object));
  }
  for (const object of objects.ServiceEntry)
    for (const host of object.spec.hosts) add(entryService(object, host), entryEndpoints(object, host, workloads));
  return {
    settings,
    services: new Map([...services].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    endpoints,
    rules: objects,
  };
}

// ---------------------------------------------------------- Kubernetes

const EXPORT_TO = 'networking.istio.io/exportTo';

function kubernetesServiceOf({ origin, spec }: MeshObject<'Service'>, { domain }: MeshSettings): Service | undefined {
  if (spec.type === 'ExternalName') return undefined;
  return {
    host: `${origin.name}.${origin.namespace}.svc.${domain}`,
    namespace: origin.namespace,
    addresses: [...new Set([spec.clusterIP, ...(spec.clusterIPs ?? [])])].filter(
      (ip) => ip !== undefined && isIP(ip) !== 0,
    ) as string[],
    ports: spec.ports.map(({ port, name, protocol, appProtocol }) => ({
      number: port,
      name,
      protocol: protocolOf({ name, protocol, appProtocol }),
    })),
    resolution: 'endpoints',
    isExternal: false,
    exportTo: origin.annotations
      .get(EXPORT_TO)
      ?.split(',')
      .map((one) => one.trim()) ?? ['*'],
    origin,
  };
}

/** Endpoints of a service: from its EndpointSlices, or from the Endpoints of its name, which older clusters have alone. */
function endpointsByService(
  objects: MeshObjects,
  workloads: readonly Workload[],
): (service: MeshObject<'Service'>) => readonly Endpoint[] {
  const byAddress = new Map(workloads.map((one) => [one.address, one]));
  const endpoint = (address: string, ports: ReadonlyMap<number, number>, zone?: string): Endpoint => {
    const workload = byAddress.get(address);
    return {
      address,
      ports,
      labels: workload?.labels ?? new Map(),
      serviceAccount: workload?.serviceAccount,
      locality: workload?.locality ?? (zone === undefined ? undefined : `/${zone}`),
      weight: workload?.weight,
    };
  };
  return ({ origin: { name, namespace }, spec }) => {
    const portsOf = (named: readonly { readonly name: string; readonly port: number }[]): Map<number, number> =>
      new Map(
        spec.ports.flatMap((port) => {
          const own = named.find((one) => one.name === port.name) ?? (named.length === 1 ? named[0] : undefined);
          return own === undefined ? [] : [[port.port, own.port] as const];
        }),
      );
    const slices = objects.EndpointSlice.filter(
      ({ origin }) => origin.namespace === namespace && origin.labels.get('kubernetes.io/service-name') === name,
    );
    if (slices.length > 0)
      return slices.flatMap(({ spec: slice }) =>
        slice.endpoints
          .filter(({ conditions }) => conditions.ready !== false)
          .flatMap(({ addresses, zone }) =>
            addresses.slice(0, 1).map((address) => endpoint(address, portsOf(numbered(slice.ports)), zone)),
          ),
      );
    const own = objects.Endpoints.find(({ origin }) => origin.namespace === namespace && origin.name === name);
    if (own !== undefined)
      return own.spec.subsets.flatMap(({ addresses, ports }) =>
        addresses.map(({ ip }) => endpoint(ip, portsOf(ports))),
      );
    return selected(spec, namespace, workloads);
  };
}

const numbered = (
  ports: readonly { readonly name?: string | null | undefined; readonly port?: number | null | undefined }[],
): { name: string; port: number }[] =>
  ports.flatMap(({ name, port }) => (port === undefined || port === null ? [] : [{ name: name ?? '', port }]));

/** Without a controller that writes endpoints, a service in files has the pods and workloads that it selects. */
function selected(
  { selector, ports }: KubernetesService,
  namespace: string,
  workloads: readonly Workload[],
): readonly Endpoint[] {
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  return workloads
    .filter((workload) => workload.namespace === namespace && hasLabels(workload.labels, selector))
    .map((workload) => ({
      ...workload,
      ports: new Map(
        ports.map(({ port, name, targetPort }) => [
          port,
          typeof targetPort === 'string'
            ? (workload.ports[targetPort] ?? port)
            : (workload.ports[name] ?? targetPort ?? port),
        ]),
      ),
    }));
}

export const hasLabels = (labels: ReadonlyMap<string, string>, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([name, value]) => labels.get(name) === value);

function workloadsOf({ Pod, WorkloadEntry }: MeshObjects): readonly Workload[] {
  const pods = Pod.flatMap(({ origin, spec: { spec, status } }): Workload[] =>
    status.podIP === undefined
      ? []
      : [
          {
            namespace: origin.namespace,
            address: status.podIP,
            labels: origin.labels,
            serviceAccount: spec.serviceAccountName,
            locality: undefined,
            weight: undefined,
            ports: Object.fromEntries(
              spec.containers.flatMap(({ ports }) =>
                ports.flatMap(({ name, containerPort }) =>
                  name === undefined ? [] : [[name, containerPort] as const],
                ),
              ),
            ),
          },
        ],
  );
  const entries = WorkloadEntry.map(({ origin, spec }): Workload => ({
    namespace: origin.namespace,
    address: spec.address,
    labels: new Map([...origin.labels, ...Object.entries(spec.labels)]),
    serviceAccount: spec.serviceAccount,
    locality: spec.locality,
    weight: spec.weight,
    ports: spec.ports,
  }));
  return [...pods, ...entries];
}

// ---------------------------------------------------------- ServiceEntry

const entryPorts = ({ ports }: ServiceEntry): readonly ServicePort[] =>
  ports.map(({ number, name, protocol }) => ({ number, name, protocol: protocolOf({ name, protocol }) }));

const RESOLUTIONS = { NONE: 'original', STATIC: 'endpoints', DNS: 'dns', DNS_ROUND_ROBIN: 'dns' } as const;

function entryService({ origin, spec }: MeshObject<'ServiceEntry'>, host: string): Service {
  return {
    host: host.toLowerCase().replace(/\.$/, ''),
    namespace: origin.namespace,
    addresses: spec.addresses,
    ports: entryPorts(spec),
    resolution: RESOLUTIONS[spec.resolution],
    isExternal: spec.location === 'MESH_EXTERNAL',
    exportTo: spec.exportTo,
    origin,
  };
}

function entryEndpoints(
  { origin, spec }: MeshObject<'ServiceEntry'>,
  host: string,
  workloads: readonly Workload[],
): readonly Endpoint[] {
  const { workloadSelector, endpoints, ports, resolution } = spec;
  const made = (one: Omit<Workload, 'namespace'>): Endpoint => ({
    address: one.address,
    ports: new Map(ports.map(({ number, name, targetPort }) => [number, one.ports[name] ?? targetPort ?? number])),
    labels: one.labels,
    serviceAccount: one.serviceAccount,
    locality: one.locality,
    weight: one.weight,
  });
  if (workloadSelector !== undefined)
    return workloads
      .filter((one) => one.namespace === origin.namespace && hasLabels(one.labels, workloadSelector.labels))
      .map(made);
  if (endpoints.length === 0 && resolution.startsWith('DNS'))
    return [
      made({
        address: host,
        labels: new Map(),
        serviceAccount: undefined,
        locality: undefined,
        weight: undefined,
        ports: {},
      }),
    ];
  return endpoints.map((one) =>
    made({
      address: one.address,
      labels: new Map(Object.entries(one.labels)),
      serviceAccount: one.serviceAccount,
      locality: one.locality,
      weight: one.weight,
      ports: one.ports,
    }),
  );
}
