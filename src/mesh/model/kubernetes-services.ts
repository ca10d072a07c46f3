/**
 * **In**: Services of Kubernetes, with their EndpointSlices or Endpoints. **Out**: services of the mesh, and where they run. **Fails**:
 * never; an ExternalName, and an endpoint without an address, is none.
 */
import { isIP } from 'node:net';
import type { MeshObject, MeshObjects } from '../sources/objects.ts';
import type { KubernetesService } from '../rules/services.ts';
import type { Endpoint, Service } from './model.ts';
import { protocolOf } from './port-protocol.ts';
import type { Workload, Workloads } from './workloads.ts';

const EXPORT_TO = 'networking.istio.io/exportTo';
const KEEPS_GATEWAY_PORTS = 'experimental.istio.io/disable-gateway-port-translation';

export function kubernetesServiceOf({ origin, spec }: MeshObject<'Service'>, domain: string): Service | undefined {
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
    isHeadless: spec.clusterIP === 'None',
    subjectAltNames: [],
    ...(origin.labels.has(KEEPS_GATEWAY_PORTS) ? { keepsGatewayPorts: true } : {}),
    exportTo: origin.annotations
      .get(EXPORT_TO)
      ?.split(',')
      .map((one) => one.trim()),
    origin,
  };
}

/** What the endpoints of a service are made of, so that equal sources have equal endpoints. */
export interface EndpointSource {
  /** The objects, each with the workloads of its endpoints. */
  readonly madeOf: readonly unknown[];
  make(): readonly Endpoint[];
}

/** From its EndpointSlices, or from the Endpoints of its name, which older clusters have alone; else from the pods that it selects. */
export class KubernetesEndpoints {
  readonly #slices = new Map<string, MeshObject<'EndpointSlice'>[]>();
  readonly #endpoints = new Map<string, MeshObject<'Endpoints'>>();
  readonly #workloads: Workloads;

  constructor({ EndpointSlice, Endpoints }: Pick<MeshObjects, 'EndpointSlice' | 'Endpoints'>, workloads: Workloads) {
    this.#workloads = workloads;
    for (const slice of EndpointSlice) {
      const service = slice.origin.labels.get('kubernetes.io/service-name');
      if (service === undefined) continue;
      const key = `${slice.origin.namespace}/${service}`;
      const own = this.#slices.get(key);
      if (own === undefined) this.#slices.set(key, [slice]);
      else own.push(slice);
    }
    for (const one of Endpoints) this.#endpoints.set(`${one.origin.namespace}/${one.origin.name}`, one);
  }

  of(service: MeshObject<'Service'>): EndpointSource {
    const { name, namespace } = service.origin;
    const slices = this.#slices.get(`${namespace}/${name}`);
    if (slices !== undefined) return this.#ofSlices(service, slices);
    const own = this.#endpoints.get(`${namespace}/${name}`);
    if (own !== undefined) return this.#ofEndpoints(service, own);
    const { selector = {} } = service.spec;
    const workloads = Object.keys(selector).length === 0 ? [] : this.#workloads.selected(namespace, selector);
    return { madeOf: [service, ...workloads], make: () => selectedEndpoints(service.spec, workloads) };
  }

  #ofSlices(service: MeshObject<'Service'>, slices: readonly MeshObject<'EndpointSlice'>[]): EndpointSource {
    const family = familyOf(service.spec, slices);
    const joined = slices
      .filter(({ spec }) => spec.addressType === family)
      .map((slice) => ({
        slice,
        workloads: slice.spec.endpoints.map(({ addresses: [address = ''], targetRef }) =>
          targetRef?.kind === 'Pod' && targetRef.name !== undefined
            ? this.#workloads.pod(targetRef.namespace ?? slice.origin.namespace, targetRef.name)
            : this.#workloads.at(address),
        ),
      }));
    return {
      madeOf: [service, ...joined.flatMap(({ slice, workloads }) => [slice, ...workloads])],
      make: () => {
        // While a controller moves endpoints from one slice to another, both have them.
        const byAddress = new Map<string, Endpoint>();
        for (const { slice, workloads } of joined) {
          const ports = portsOf(service.spec, numbered(slice.spec.ports));
          for (const [at, { addresses, conditions, zone }] of slice.spec.endpoints.entries()) {
            const [address = ''] = addresses;
            const isReady = conditions.ready !== false;
            if (isIP(address) !== 0 && (isReady || !byAddress.has(address)))
              byAddress.set(address, endpoint(service, { address, ports, isReady }, workloads[at], zone));
          }
        }
        return [...byAddress.values()];
      },
    };
  }

  #ofEndpoints(service: MeshObject<'Service'>, own: MeshObject<'Endpoints'>): EndpointSource {
    const joined = own.spec.subsets.map(({ addresses, notReadyAddresses, ports }) => ({
      ports,
      endpoints: [
        ...addresses.map(({ ip }) => ({ ip, isReady: true, workload: this.#workloads.at(ip) })),
        ...notReadyAddresses.map(({ ip }) => ({ ip, isReady: false, workload: this.#workloads.at(ip) })),
      ],
    }));
    return {
      madeOf: [service, own, ...joined.flatMap(({ endpoints }) => endpoints.map(({ workload }) => workload))],
      make: () =>
        joined.flatMap(({ ports: named, endpoints }) => {
          const ports = portsOf(service.spec, named);
          return endpoints
            .filter(({ ip }) => isIP(ip) !== 0)
            .map(({ ip, isReady, workload }) => endpoint(service, { address: ip, ports, isReady }, workload));
        }),
    };
  }
}

/** A service of two families has each pod twice; its first family counts. FQDN slices have no addresses. */
function familyOf({ clusterIP = '' }: KubernetesService, slices: readonly MeshObject<'EndpointSlice'>[]): string {
  if (isIP(clusterIP) !== 0) return `IPv${isIP(clusterIP)}`;
  return slices.some(({ spec }) => spec.addressType === 'IPv4') ? 'IPv4' : 'IPv6';
}

const endpoint = (
  { origin }: MeshObject<'Service'>,
  own: Pick<Endpoint, 'address' | 'ports' | 'isReady'>,
  workload: Workload | undefined,
  zone?: string,
): Endpoint => ({
  ...own,
  labels: workload?.labels ?? NO_LABELS,
  namespace: workload?.namespace ?? origin.namespace,
  serviceAccount: workload?.serviceAccount,
  hasSidecar: workload?.hasSidecar ?? false,
  locality: workload?.locality ?? (zone === undefined ? undefined : `/${zone}`),
  weight: workload?.weight,
});
const NO_LABELS: ReadonlyMap<string, string> = new Map();

/** A port of the service is found by its name among those of its endpoints, whose numbers are resolved. */
const portsOf = (
  { ports }: KubernetesService,
  named: readonly { readonly name: string; readonly port: number }[],
): ReadonlyMap<number, number> =>
  new Map(
    ports.flatMap((port) => {
      const own = named.find((one) => one.name === port.name) ?? (named.length === 1 ? named[0] : undefined);
      return own === undefined ? [] : [[port.port, own.port] as const];
    }),
  );

const numbered = (
  ports: readonly { readonly name?: string | null | undefined; readonly port?: number | null | undefined }[],
): { name: string; port: number }[] =>
  ports.flatMap(({ name, port }) => (port === undefined || port === null ? [] : [{ name: name ?? '', port }]));

/** Without a controller that writes endpoints, as in files. */
const selectedEndpoints = ({ ports }: KubernetesService, workloads: readonly Workload[]): readonly Endpoint[] =>
  workloads.map(({ ports: own, ...workload }) => ({
    ...workload,
    ports: new Map(
      ports.map(({ port, name, targetPort }) => [
        port,
        typeof targetPort === 'string' ? (own[targetPort] ?? port) : (own[name] ?? targetPort ?? port),
      ]),
    ),
  }));
