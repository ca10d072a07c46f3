/**
 * A member of the mesh, as its Envoy introduces itself.
 * **In**: the node of a discovery request. **Out**: what the mesh knows it by. **Fails**: with a sentence that says what is wrong in the
 * id.
 */
import { isIP } from 'node:net';
import { parseWorkloadId, type WorkloadName } from '../../identity/spiffe.ts';
import type { Proxy } from '../../xds/index.ts';
import { localityOfLabels, localityText } from '../model/locality.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Endpoint } from '../model/model.ts';

export type InterceptionMode = 'REDIRECT' | 'TPROXY' | 'NONE';

export interface Member {
  readonly type: 'sidecar' | 'router';
  /** `pod.namespace` */
  readonly name: string;
  readonly address: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly serviceAccount: string;
  /** `region/zone/sub-zone` */
  readonly locality: string | undefined;
  /** Without interception each listener is bound, and an application calls it by its address. */
  readonly interception: InterceptionMode;
  /**
   * The cluster of its bootstrap that gives it certificates, of an agent beside it; or the stream that gives it all else, if it has proven
   * its identity there. `undefined`: it gets none, and a resource that names a secret would wait for ever.
   */
  readonly secrets: { readonly cluster: string } | 'ads' | undefined;
  /** The file of the CA certificates of its operating system, in PEM; absent if it names none. */
  readonly systemRoots: string | undefined;
  /** What it has proven on this stream, which may carry keys of gateways then; all else it says of itself. */
  readonly proven: WorkloadName | undefined;
}

/** The key of the node metadata; Envoy refuses a cluster that names a missing file, so the proxy says which file it has. */
export const SYSTEM_ROOTS = 'SYSTEM_ROOTS';

const FORM = 'expected sidecar~IP~POD.NAMESPACE~DOMAIN or router~IP~POD.NAMESPACE~DOMAIN';

/** Istio's own ids and metadata. */
export function memberOf(
  { id, metadata, identity, locality }: Pick<Proxy, 'id' | 'metadata' | 'identity'> & Partial<Pick<Proxy, 'locality'>>,
  mesh: Mesh,
): Member | { readonly wrong: string } {
  const [type = '', address = '', name = '', domain, ...others] = id.split('~');
  if (domain === undefined || others.length > 0 || (type !== 'sidecar' && type !== 'router'))
    return { wrong: `the node id is ${JSON.stringify(id)}; ${FORM}` };
  if (isIP(address) === 0) return { wrong: `the node id has ${JSON.stringify(address)} for an address; ${FORM}` };
  const namespace = textOf(metadata['NAMESPACE']) ?? name.slice(name.lastIndexOf('.') + 1);
  if (namespace === '') return { wrong: `the node id names no namespace; ${FORM}` };
  const agent = textOf(metadata['SDS_CLUSTER']);
  const mode = textOf(metadata['INTERCEPTION_MODE']);
  const endpoint = endpointAt(address, mesh);
  const proven = parseWorkloadId(identity ?? '');
  const labels = labelsOf(metadata['LABELS']) ?? endpoint?.labels ?? new Map<string, string>();
  return {
    type,
    name,
    address,
    namespace,
    labels,
    locality:
      localityOfLabels(labels) ??
      (locality === undefined || locality.region === '' ? endpoint?.locality : localityText(locality)),
    serviceAccount: textOf(metadata['SERVICE_ACCOUNT']) ?? proven?.serviceAccount ?? 'default',
    interception: mode === 'NONE' || mode === 'TPROXY' ? mode : 'REDIRECT',
    systemRoots: textOf(metadata[SYSTEM_ROOTS]),
    proven,
    secrets: agent === undefined ? (identity === undefined ? undefined : 'ads') : { cluster: agent },
  };
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function labelsOf(value: unknown): ReadonlyMap<string, string> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return new Map(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** By address. */
const known = new WeakMap<Mesh, ReadonlyMap<string, Endpoint>>();

/** A proxy that says nothing of itself is known by its endpoint, as in 1.0.2. */
function endpointAt(address: string, mesh: Mesh): Endpoint | undefined {
  let endpoints = known.get(mesh);
  if (endpoints === undefined) {
    const byAddress = new Map<string, Endpoint>();
    for (const own of mesh.endpoints.values())
      for (const one of own) if (!byAddress.has(one.address)) byAddress.set(one.address, one);
    known.set(mesh, (endpoints = byAddress));
  }
  return endpoints.get(address);
}
