/**
 * What one proxy sees of the mesh.
 * **In**: the mesh, and a member. **Out**: its Sidecar, the services it may call, and the rules that hold for them. **Fails**: never.
 */
import { hasLabels, type Mesh, type MeshSettings } from '../model/mesh.ts';
import type { Service } from '../model/model.ts';
import type { SidecarEgress } from '../rules/gateway.ts';
import { MESH_GATEWAY } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { calledServices } from './called-services.ts';
import { destinationRules, isExported } from './destination-rules.ts';
import { completeHost, covers } from './hosts.ts';
import type { Member } from './proxy.ts';
import { ruleFor, type RulesByHost } from './rule-for.ts';

export interface Scope {
  readonly mesh: Mesh;
  readonly member: Member;
  readonly sidecar: MeshObject<'Sidecar'> | undefined;
  /** Calls to hosts that the mesh does not know. */
  readonly outbound: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  /** That the application may call, by host. */
  readonly services: ReadonlyMap<string, Service>;
  /** These, and those to which rules send their calls. */
  readonly called: ReadonlyMap<string, Service>;
  /** VirtualServices for calls within the mesh, by the complete host that they route; the oldest of several. */
  readonly routes: RulesByHost;
  /** The rule that says how calls reach a host. */
  destinationRule(host: string): MeshObject<'DestinationRule'> | undefined;
  /** The rule that says how many calls the application takes as an endpoint of a host. */
  inboundRule(host: string): MeshObject<'DestinationRule'> | undefined;
}

export function scopeOf(mesh: Mesh, member: Member, sidecar = sidecarOf(mesh, member)): Scope {
  const services = new Map(
    [...mesh.services].filter(([, service]) => isVisible(service, member, sidecar, mesh.settings)),
  );
  const { exportTo } = mesh.settings;
  const routes = new Map<string, MeshObject<'VirtualService'>>();
  for (const rule of mesh.rules.VirtualService) {
    if (
      !rule.spec.gateways.includes(MESH_GATEWAY) ||
      !isExported(rule.spec.exportTo ?? exportTo?.virtualService, rule.origin.namespace, member)
    )
      continue;
    for (const host of rule.spec.hosts) {
      const complete = completeHost(host, rule.origin.namespace, mesh.settings.domain);
      if (!routes.has(complete)) routes.set(complete, rule);
    }
  }
  const outbound = sidecar?.spec.outboundTrafficPolicy?.mode ?? mesh.settings.outbound;
  const scope = { mesh, member, sidecar, services, routes };
  return {
    ...scope,
    outbound,
    called: (sidecar?.spec.egress ?? []).length === 0 ? services : calledBy(scope),
    destinationRule: destinationRules(mesh, member, 'outbound'),
    inboundRule: destinationRules(mesh, member, 'inbound'),
  };
}

function calledBy(scope: Pick<Scope, 'mesh' | 'member' | 'sidecar' | 'services' | 'routes'>): Scope['called'] {
  const { mesh, member, services, routes } = scope;
  const ofServices = [...services.keys()].flatMap((host) => ruleFor(routes, host) ?? []);
  const ofOthers = [...routes]
    .filter(([host, { origin }]) => isInView({ namespace: origin.namespace, host }, scope))
    .map(([, rule]) => rule);
  return calledServices(services, [...ofServices, ...ofOthers], mesh, (service) =>
    isExported(service.exportTo ?? mesh.settings.exportTo?.service, service.namespace, member),
  );
}

/** Its own by labels, else that of its namespace, else that of the root namespace. */
export function sidecarOf(
  { rules, settings }: Mesh,
  { type, namespace, labels }: Member,
): MeshObject<'Sidecar'> | undefined {
  if (type !== 'sidecar') return undefined;
  const isSelecting = ({ spec }: MeshObject<'Sidecar'>): boolean =>
    Object.keys(spec.workloadSelector?.labels ?? {}).length > 0;
  const inNamespace = rules.Sidecar.filter(({ origin }) => origin.namespace === namespace);
  return (
    inNamespace.find((one) => isSelecting(one) && hasLabels(labels, one.spec.workloadSelector?.labels ?? {})) ??
    inNamespace.find((one) => !isSelecting(one)) ??
    rules.Sidecar.find((one) => one.origin.namespace === settings.rootNamespace && !isSelecting(one))
  );
}

function isVisible(
  service: Service,
  member: Member,
  sidecar: MeshObject<'Sidecar'> | undefined,
  { exportTo }: MeshSettings,
): boolean {
  if (!isExported(service.exportTo ?? exportTo?.service, service.namespace, member)) return false;
  return isInView(service, { member, sidecar });
}

type Named = Pick<Service, 'namespace' | 'host'>;

/** Whether its Sidecar lets the member call it. */
export function isInView(called: Named, { member, sidecar }: Pick<Scope, 'member' | 'sidecar'>): boolean {
  const egress = sidecar?.spec.egress ?? [];
  return egress.length === 0 || egress.some((one) => isReached(called, one, member));
}

/** Whether an egress of its Sidecar names the service, and does not leave it out. */
export function isReached({ namespace, host }: Named, { hosts }: SidecarEgress, member: Member): boolean {
  const naming = hosts.filter(
    ({ namespace: from, host: pattern }) =>
      (from === '*' || (from === '.' ? member.namespace : from) === namespace) &&
      (pattern === '*' || covers(pattern, host)),
  );
  return naming.length > 0 && naming.every(({ isExcluded }) => !isExcluded);
}
