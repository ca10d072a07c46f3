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
  const { namespaces, root } = peersOf(mesh);
  const own = namespaces.get(workload.namespace);
  const selecting = own === undefined ? undefined : selectingOf(own, workload);
  return (
    unlessUnset(selecting?.spec.portLevelMtls?.[port]?.mode) ??
    unlessUnset(selecting?.spec.mtls?.mode) ??
    unlessUnset(own?.all?.spec.mtls?.mode) ??
    unlessUnset(root?.spec.mtls?.mode) ??
    oldModeAt(mesh, workload, port) ??
    'PERMISSIVE'
  );
}

/** Whether clients may use mutual TLS there. */
export const takesMutualTls = (mesh: Mesh, endpoint: Endpoint, port: number): boolean =>
  mesh.settings.identities !== undefined && endpoint.hasSidecar && mtlsModeAt(mesh, endpoint, port) !== 'DISABLE';

/** Ports of a workload that have a mode of their own. */
export function portsWithMode(mesh: Mesh, workload: WorkloadAt): readonly number[] {
  const own = peersOf(mesh).namespaces.get(workload.namespace);
  const selecting = own === undefined ? undefined : selectingOf(own, workload);
  return Object.keys(selecting?.spec.portLevelMtls ?? {}).map(Number);
}

const unlessUnset = (mode: MutualTlsMode | 'UNSET' | undefined): MutualTlsMode | undefined =>
  mode === 'UNSET' ? undefined : mode;

// ---------------------------------------------------------- PeerAuthentication

type Rule = MeshObject<'PeerAuthentication'>;

interface OfNamespace {
  /** The oldest that selects none. */
  readonly all: Rule | undefined;
  /** Those that select workloads, by one label that they ask for; each with its place among all, the oldest first. */
  readonly byLabel: ReadonlyMap<string, readonly { readonly rule: Rule; readonly at: number }[]>;
}

interface Peers {
  readonly namespaces: ReadonlyMap<string, OfNamespace>;
  readonly root: Rule | undefined;
}

/** By the list of rules, which a mesh that changed elsewhere has again; their root namespace is a setting of the process. */
const made = new WeakMap<readonly Rule[], Peers>();

function peersOf({ rules: { PeerAuthentication: rules }, settings: { rootNamespace } }: Mesh): Peers {
  let peers = made.get(rules);
  if (peers === undefined) made.set(rules, (peers = makePeers(rules, rootNamespace)));
  return peers;
}

function makePeers(rules: readonly Rule[], rootNamespace: string): Peers {
  const byNamespace = Map.groupBy(rules, ({ origin }) => origin.namespace);
  const root = byNamespace.get(rootNamespace)?.find((one) => !isSelecting(one));
  byNamespace.delete(rootNamespace);
  const namespaces = new Map(
    [...byNamespace].map(([namespace, own]) => [
      namespace,
      {
        all: own.find((one) => !isSelecting(one)),
        byLabel: Map.groupBy(
          own.map((rule, at) => ({ rule, at })).filter(({ rule }) => isSelecting(rule)),
          ({ rule }) => labelKey(Object.entries(rule.spec.selector?.matchLabels ?? {})[0] ?? ['', '']),
        ),
      },
    ]),
  );
  return { namespaces, root };
}

export const isSelecting = ({ spec }: Rule): boolean => Object.keys(spec.selector?.matchLabels ?? {}).length > 0;

const labelKey = ([name, value]: readonly [string, string]): string => `${name}=${value}`;

/** The oldest that selects the workload. */
function selectingOf({ byLabel }: OfNamespace, { labels }: WorkloadAt): Rule | undefined {
  if (byLabel.size === 0) return undefined;
  let first: { readonly rule: Rule; readonly at: number } | undefined;
  for (const label of labels)
    for (const one of byLabel.get(labelKey(label)) ?? [])
      if ((first === undefined || one.at < first.at) && hasLabels(labels, one.rule.spec.selector?.matchLabels ?? {}))
        first = one;
  return first?.rule;
}

// ---------------------------------------------------------- Istio 1.0.2

interface OldModes {
  /** By address and port of the workload. */
  readonly byEndpoint: ReadonlyMap<string, MutualTlsMode>;
  readonly byNamespace: ReadonlyMap<string, MutualTlsMode>;
  readonly ofMesh: MutualTlsMode | undefined;
}

const oldOf = new WeakMap<Mesh, OldModes>();

function oldModeAt(mesh: Mesh, { address, namespace }: WorkloadAt, port: number): MutualTlsMode | undefined {
  const { Policy, MeshPolicy } = mesh.rules;
  if (Policy.length === 0 && MeshPolicy.length === 0) return undefined;
  let old = oldOf.get(mesh);
  if (old === undefined) oldOf.set(mesh, (old = oldModes(mesh)));
  return old.byEndpoint.get(endpointKey(address, port)) ?? old.byNamespace.get(namespace) ?? old.ofMesh;
}

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
