/**
 * What one proxy sees of the mesh.
 * **In**: the mesh, and a member. **Out**: its Sidecar, the services it may call, and the rules that hold for them. **Fails**: never.
 */
import { hasLabels, type Mesh } from '../model/mesh.ts';
import type { Service } from '../model/model.ts';
import type { DestinationRule } from '../rules/destination-rule.ts';
import { MESH_GATEWAY } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { completeHost, covers, mostSpecific } from './hosts.ts';
import type { Member } from './proxy.ts';

export interface Scope {
  readonly mesh: Mesh;
  readonly member: Member;
  readonly sidecar: MeshObject<'Sidecar'> | undefined;
  /** By host. */
  readonly services: ReadonlyMap<string, Service>;
  /** VirtualServices for calls within the mesh, by the complete host that they route; the oldest of several. */
  readonly routes: ReadonlyMap<string, MeshObject<'VirtualService'>>;
  /** The rule that says how calls reach a host. */
  destinationRule(host: string): MeshObject<'DestinationRule'> | undefined;
}

export function scopeOf(mesh: Mesh, member: Member): Scope {
  const sidecar = member.type === 'sidecar' ? sidecarOf(mesh, member) : undefined;
  const services = new Map([...mesh.services].filter(([, service]) => isVisible(service, member, sidecar)));
  const routes = new Map<string, MeshObject<'VirtualService'>>();
  for (const rule of mesh.rules.VirtualService) {
    if (!rule.spec.gateways.includes(MESH_GATEWAY) || !isExported(rule.spec.exportTo, rule.origin.namespace, member))
      continue;
    for (const host of rule.spec.hosts) {
      const complete = completeHost(host, rule.origin.namespace, mesh.settings.domain);
      if (!routes.has(complete)) routes.set(complete, rule);
    }
  }
  return { mesh, member, sidecar, services, routes, destinationRule: destinationRules(mesh, member) };
}

/** Its own by labels, else that of its namespace, else that of the root namespace. */
function sidecarOf({ rules, settings }: Mesh, { namespace, labels }: Member): MeshObject<'Sidecar'> | undefined {
  const isSelecting = ({ spec }: MeshObject<'Sidecar'>): boolean =>
    Object.keys(spec.workloadSelector?.labels ?? {}).length > 0;
  const inNamespace = rules.Sidecar.filter(({ origin }) => origin.namespace === namespace);
  return (
    inNamespace.find((one) => isSelecting(one) && hasLabels(labels, one.spec.workloadSelector?.labels ?? {})) ??
    inNamespace.find((one) => !isSelecting(one)) ??
    rules.Sidecar.find((one) => one.origin.namespace === settings.rootNamespace && !isSelecting(one))
  );
}

const isExported = (exportTo: readonly string[], namespace: string, member: Member): boolean =>
  exportTo.some((to) => to === '*' || (to === '.' ? namespace : to) === member.namespace);

function isVisible(
  { host, namespace, exportTo }: Service,
  member: Member,
  sidecar: MeshObject<'Sidecar'> | undefined,
): boolean {
  if (!isExported(exportTo, namespace, member)) return false;
  const hosts = sidecar?.spec.egress.flatMap((one) => one.hosts) ?? [];
  if (hosts.length === 0) return true;
  return hosts.some(
    ({ namespace: from, host: pattern }) =>
      (from === '*' || (from === '.' ? member.namespace : from) === namespace) &&
      (pattern === '*' || covers(pattern, host)),
  );
}

/** Looked for in the namespace of the client, then of the service, then in the root namespace. */
function destinationRules({ rules, settings, services }: Mesh, member: Member): Scope['destinationRule'] {
  const found = new Map<string, MeshObject<'DestinationRule'> | undefined>();
  const look = (host: string): MeshObject<'DestinationRule'> | undefined => {
    const namespaces = [member.namespace, services.get(host)?.namespace, settings.rootNamespace];
    for (const namespace of namespaces) {
      const own = rules.DestinationRule.filter(
        ({ origin, spec }) =>
          origin.namespace === namespace &&
          (namespace === member.namespace || isExported(spec.exportTo, origin.namespace, member)) &&
          hasLabels(member.labels, spec.workloadSelector?.matchLabels ?? {}),
      );
      const completed = own.map((rule) => ({
        rule,
        host: completeHost(rule.spec.host, rule.origin.namespace, settings.domain),
      }));
      const best = mostSpecific(new Set(completed.map((one) => one.host)), host);
      if (best !== undefined) return united(completed.filter((one) => one.host === best).map(({ rule }) => rule));
    }
    return undefined;
  };
  return (host) => {
    if (!found.has(host)) found.set(host, look(host));
    return found.get(host);
  };
}

/** Several for one host: their subsets together, the first of a name, and the traffic policy of the first that has one. */
function united(rules: readonly MeshObject<'DestinationRule'>[]): MeshObject<'DestinationRule'> | undefined {
  const [first] = rules;
  if (first === undefined || rules.length === 1) return first;
  const subsets = new Map<string, DestinationRule['subsets'][number]>();
  for (const { spec } of rules)
    for (const subset of spec.subsets) if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  const trafficPolicy = rules.find(({ spec }) => spec.trafficPolicy !== undefined)?.spec.trafficPolicy;
  return { ...first, spec: { ...first.spec, subsets: [...subsets.values()], trafficPolicy } };
}
