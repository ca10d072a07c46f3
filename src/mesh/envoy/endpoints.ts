/**
 * The endpoints of a cluster.
 * **In**: what a proxy sees of the mesh, and a port of a service. **Out**: a ClusterLoadAssignment. **Fails**: never.
 */
import { localityOf } from '../model/locality.ts';
import { hasLabels } from '../model/mesh.ts';
import type { Endpoint, Service, ServicePort } from '../model/model.ts';
import type { LocalityGroup } from '../resolve/locality-groups.ts';
import { takesMutualTls } from '../resolve/mutual-tls.ts';
import type { Scope } from '../resolve/scope.ts';
import type { Subset } from '../rules/destination-rule.ts';
import { compact, type Json, socketAddress } from './parts.ts';

/** An endpoint at one of its ports. */
export interface EndpointAt extends Endpoint {
  readonly port: number;
  readonly takesMutualTls: boolean;
}

export function endpointsOf(
  { mesh }: Scope,
  { host }: Service,
  { number }: ServicePort,
  subset: Subset | undefined,
): readonly EndpointAt[] {
  return (mesh.endpoints.get(host) ?? []).flatMap((endpoint) => {
    const port = endpoint.ports.get(number);
    return port === undefined ||
      !endpoint.isReady ||
      (subset !== undefined && !hasLabels(endpoint.labels, subset.labels))
      ? []
      : [{ ...endpoint, port, takesMutualTls: takesMutualTls(mesh, endpoint, port) }];
  });
}

/** An endpoint says so itself, in the metadata that a cluster chooses its transport socket by. */
const MUTUAL_TLS: Json = { filter_metadata: { 'envoy.transport_socket_match': { tlsMode: 'istio' } } };

/** `isWeighted`: localities get shares of the calls. */
export const loadAssignment = (
  name: string,
  groups: readonly LocalityGroup<EndpointAt>[],
  isWeighted = false,
): Json => ({
  cluster_name: name,
  endpoints: groups.map(({ locality, endpoints, priority, weight: share }) =>
    compact({
      locality: localityJson(locality),
      lb_endpoints: endpoints.toSorted(byAddress).map(({ address, port, weight, takesMutualTls: isSecured }) =>
        compact({
          endpoint: { address: addressOf(address, port) },
          metadata: isSecured ? MUTUAL_TLS : undefined,
          load_balancing_weight: weight === undefined || weight === 0 ? undefined : weight,
        }),
      ),
      load_balancing_weight: isWeighted ? share : undefined,
      priority: priority === 0 ? undefined : priority,
    }),
  ),
});

export const addressOf = (address: string, port: number): Json =>
  address.startsWith('unix://') ? { pipe: { path: address.slice('unix://'.length) } } : socketAddress(address, port);

const byAddress = (
  a: { readonly address: string; readonly port: number },
  b: { readonly address: string; readonly port: number },
): number => (a.address < b.address ? -1 : Number(a.address > b.address)) || a.port - b.port;

function localityJson(text: string): Json | undefined {
  if (text === '') return undefined;
  const { region, zone, subZone } = localityOf(text);
  return compact({ region, zone: zone === '' ? undefined : zone, sub_zone: subZone === '' ? undefined : subZone });
}
