/** **In**: a ServiceEntry. **Out**: the service of each of its hosts, and where it runs. **Fails**: never. */
import { isIPv6 } from 'node:net';
import type { MeshObject } from '../sources/objects.ts';
import type { ServiceEntry } from '../rules/services.ts';
import type { EndpointSource } from './kubernetes-services.ts';
import type { Endpoint, Service, ServicePort } from './model.ts';
import { protocolOf } from './port-protocol.ts';
import { entryIdentity, type Workload, type Workloads } from './workloads.ts';

const entryPorts = ({ ports }: ServiceEntry): readonly ServicePort[] =>
  ports.map(({ number, name, protocol }) => ({ number, name, protocol: protocolOf({ name, protocol }) }));

const RESOLUTIONS = { NONE: 'original', STATIC: 'endpoints', DNS: 'dns', DNS_ROUND_ROBIN: 'dns-first' } as const;

/** Names of DNS are equal in either case, and with a dot at their end. */
export const hostOf = (written: string): string => written.toLowerCase().replace(/\.$/, '');

/** A range of one address is that address, which has a listener of its own and stands in tables of routes. */
const withoutWholeMask = (range: string): string => {
  const [address = '', bits] = range.split('/');
  return Number(bits) === (isIPv6(address) ? 128 : 32) ? address : range;
};

export function entryService({ origin, spec }: MeshObject<'ServiceEntry'>, host: string): Service {
  return {
    host,
    namespace: origin.namespace,
    addresses: spec.addresses.map(withoutWholeMask),
    ports: entryPorts(spec),
    resolution: RESOLUTIONS[spec.resolution],
    isExternal: spec.location === 'MESH_EXTERNAL',
    isHeadless: false,
    subjectAltNames: spec.subjectAltNames,
    exportTo: spec.exportTo,
    origin,
  };
}

export function entryEndpoints(object: MeshObject<'ServiceEntry'>, host: string, workloads: Workloads): EndpointSource {
  const { origin, spec } = object;
  const { workloadSelector } = spec;
  if (workloadSelector === undefined) return { madeOf: [object, host], make: () => ownEndpoints(object, host) };
  const selected = workloads.selected(origin.namespace, workloadSelector.labels);
  return { madeOf: [object, host, ...selected], make: () => selected.map((one) => endpointOf(spec, one)) };
}

function ownEndpoints({ origin: { namespace }, spec }: MeshObject<'ServiceEntry'>, host: string): readonly Endpoint[] {
  if (spec.endpoints.length === 0 && spec.resolution.startsWith('DNS'))
    return [endpointOf(spec, { ...entryIdentity({ labels: new Map() }), namespace, address: host, ports: {} })];
  return spec.endpoints.map((one) =>
    endpointOf(spec, {
      ...one,
      ...entryIdentity({ ...one, labels: new Map(Object.entries(one.labels)) }),
      namespace,
    }),
  );
}

type EntryEndpoint = Pick<Workload, 'address' | 'namespace' | 'labels' | 'serviceAccount' | 'hasSidecar' | 'ports'> &
  Partial<Pick<Workload, 'locality' | 'weight' | 'isReady'>>;

const endpointOf = ({ ports }: ServiceEntry, one: EntryEndpoint): Endpoint => ({
  address: one.address,
  ports: new Map(ports.map(({ number, name, targetPort }) => [number, one.ports[name] ?? targetPort ?? number])),
  labels: one.labels,
  namespace: one.namespace,
  serviceAccount: one.serviceAccount,
  hasSidecar: one.hasSidecar,
  locality: one.locality,
  isReady: one.isReady ?? true,
  weight: one.weight,
});
