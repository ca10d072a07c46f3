/**
 * Which connections a port of a workload takes.
 * **In**: the mesh, a workload, the number of its port. **Out**: a mode. **Fails**: never.
 *
 * Of PeerAuthentications, one that selects the workload goes before its namespace's, and that before the root namespace's; of several the
 * oldest holds. UNSET inherits. Where none says a mode, Policy and MeshPolicy of Istio 1.0.2 do; without those it is PERMISSIVE. (As istiod
 * composes them; those that select workloads in the root namespace have no effect there, either.)
 */
import { hasLabels, type Mesh } from '../model/mesh.ts';

import type { AuthenticationTarget, MeshPolicy } from '../rules/peer-authentication.ts';
import type { MeshObject } from '../sources/objects.ts';
import type { Endpoint } from '../model/model.ts';
import { completeHost } from './hosts.ts';

/** `PERMISSIVE`: both cleartext and mutual TLS. */
export type MutualTlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT';

export interface WorkloadAt {
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly address: string;
}

export function mtlsModeAt(mesh: Mesh, workload: WorkloadAt, port: number): MutualTlsMode {
  const { namespaces, root, old } = modesOf(mesh);
  const own = namespaces.get(workload.namespace);
  const selecting = selectingOf(mesh, workload);
  return (
    known(selecting?.spec.portLevelMtls?.[port]?.mode) ??
    known(selecting?.spec.mtls?.mode) ??
    known(own?.all?.spec.mtls?.mode) ??
    known(root?.spec.mtls?.mode) ??
    (old.byEndpoint.size === 0 ? undefined : old.byEndpoint.get(endpointKey(workload.address, port))) ??
    old.byNamespace.get(workload.namespace) ??
    old.ofMesh ??
    'PERMISSIVE'
  );
}

/** Whether clients may use mutual TLS there. */
export const takesMutualTls = (mesh: Mesh, endpoint: Endpoint, port: number): boolean =>
  mesh.settings.identities !== undefined && endpoint.hasSidecar && mtlsModeAt(mesh, endpoint, port) !== 'DISABLE';

/** Ports of a workload that have a mode of their own. */
export function statedPorts(mesh: Mesh, workload: WorkloadAt): readonly number[] {
  const selecting = selectingOf(mesh, workload);
  return Object.keys(selecting?.spec.portLevelMtls ?? {}).map(Number);
}

function selectingOf(mesh: Mesh, { namespace, labels }: WorkloadAt): Peers | undefined {
  const { selecting } = modesOf(mesh).namespaces.get(namespace) ?? {};
  return selecting?.find(({ spec }) => hasLabels(labels, spec.selector?.matchLabels ?? {}));
}

const known = (mode: MutualTlsMode | 'UNSET' | undefined): MutualTlsMode | undefined =>
  mode === 'UNSET' ? undefined : mode;

type Peers = MeshObject<'PeerAuthentication'>;

interface Modes {
  /** Oldest first: those that select workloads, and the one for all. */
  readonly namespaces: ReadonlyMap<string, { readonly all: Peers | undefined; readonly selecting: readonly Peers[] }>;
  readonly root: Peers | undefined;
  readonly old: OldModes;
}

/** Of 1.0.2. */
interface OldModes {
  /** By address and port of the workload. */
  readonly byEndpoint: ReadonlyMap<string, MutualTlsMode>;
  readonly byNamespace: ReadonlyMap<string, MutualTlsMode>;
  readonly ofMesh: MutualTlsMode | undefined;
}

const made = new WeakMap<Mesh, Modes>();

function modesOf(mesh: Mesh): Modes {
  let modes = made.get(mesh);
  if (modes === undefined) made.set(mesh, (modes = makeModes(mesh)));
  return modes;
}

function makeModes(mesh: Mesh): Modes {
  const { rules, settings } = mesh;
  const byNamespace = Map.groupBy(rules.PeerAuthentication, ({ origin }) => origin.namespace);
  const root = byNamespace.get(settings.rootNamespace)?.find((one) => !isSelecting(one));
  byNamespace.delete(settings.rootNamespace);
  return {
    root,
    namespaces: new Map(
      [...byNamespace].map(([namespace, own]) => [
        namespace,
        { all: own.find((one) => !isSelecting(one)), selecting: own.filter(isSelecting) },
      ]),
    ),
    old: oldModes(mesh),
  };
}

export const isSelecting = ({ spec }: Peers): boolean => Object.keys(spec.selector?.matchLabels ?? {}).length > 0;

function oldModes(mesh: Mesh): OldModes {
  const byEndpoint = new Map<string, MutualTlsMode>();
  const byNamespace = new Map<string, MutualTlsMode>();
  for (const { origin, spec } of mesh.rules.Policy) {
    const mode = modeOf(spec);
    if (spec.targets.length === 0 && !byNamespace.has(origin.namespace)) byNamespace.set(origin.namespace, mode);
    for (const target of spec.targets)
      for (const key of endpointsOf(mesh, completeHost(target.name, origin.namespace, mesh.settings.domain), target))
        if (!byEndpoint.has(key)) byEndpoint.set(key, mode);
  }
  const [ofMesh] = mesh.rules.MeshPolicy;
  return { byEndpoint, byNamespace, ofMesh: ofMesh === undefined ? undefined : modeOf(ofMesh.spec) };
}

const modeOf = ({ peers }: Pick<MeshPolicy, 'peers'>): MutualTlsMode => {
  const [peer] = peers;
  return peer === undefined ? 'DISABLE' : (peer.mtls?.mode ?? 'STRICT');
};

const endpointKey = (address: string, port: number): string => `${address} ${port}`;

function endpointsOf({ services, endpoints }: Mesh, host: string, { ports }: AuthenticationTarget): string[] {
  const named = services
    .get(host)
    ?.ports.filter(
      (port) => ports.length === 0 || ports.some(({ number, name }) => number === port.number || name === port.name),
    );
  return (named ?? []).flatMap(({ number }) =>
    (endpoints.get(host) ?? []).flatMap((endpoint) => {
      const own = endpoint.ports.get(number);
      return own === undefined ? [] : [endpointKey(endpoint.address, own)];
    }),
  );
}
