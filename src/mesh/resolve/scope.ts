/**
 * What one proxy sees of the mesh.
 * **In**: the mesh, and a member. **Out**: its Sidecar, the services it may call, and the rules that hold for them. **Fails**: never.
 */
import { hasLabels, type Mesh } from '../model/mesh.ts';
import type { Service } from '../model/model.ts';
import { MESH_GATEWAY } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { calledServices } from './called-services.ts';
import { destinationRules, isExported } from './destination-rules.ts';
import type { Member } from './proxy.ts';
import { type View, type Views, viewsOf } from './views.ts';

/** In view of all egress of its Sidecar; a port may have less in view. */
export interface Scope extends View, Pick<Views, 'at'> {
  readonly mesh: Mesh;
  readonly member: Member;
  readonly sidecar: MeshObject<'Sidecar'> | undefined;
  /** Calls to hosts that the mesh does not know. */
  readonly outbound: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  /** The services in view, and those to which rules send their calls. */
  readonly called: ReadonlyMap<string, Service>;
  /** The rule that says how calls reach a host. */
  destinationRule(host: string): MeshObject<'DestinationRule'> | undefined;
  /** The rule that says how many calls the application takes as an endpoint of a host. */
  inboundRule(host: string): MeshObject<'DestinationRule'> | undefined;
}

export function scopeOf(mesh: Mesh, member: Member, sidecar = sidecarOf(mesh, member)): Scope {
  const { exportTo, domain, outbound } = mesh.settings;
  const isOpen = (service: Service): boolean =>
    isExported(service.exportTo ?? exportTo?.service, service.namespace, member);
  const egress = sidecar?.spec.egress ?? [];
  const exported = new Map([...mesh.services].filter(([, service]) => isOpen(service)));
  const { all, parts, at } = viewsOf(exported, rulesFor(mesh, member), egress, member, domain);
  return {
    mesh,
    member,
    sidecar,
    ...all,
    at,
    outbound: sidecar?.spec.outboundTrafficPolicy?.mode ?? outbound,
    called: egress.length === 0 ? all.services : calledServices(all.services, parts, mesh, isOpen),
    destinationRule: destinationRules(mesh, member, 'outbound'),
    inboundRule: destinationRules(mesh, member, 'inbound'),
  };
}

/**
 * For calls within the mesh: those that a namespace keeps to itself, then those for this one by its name, then those for all; the
 * oldest first.
 */
function rulesFor(mesh: Mesh, member: Member): readonly MeshObject<'VirtualService'>[] {
  const rank = (rule: MeshObject<'VirtualService'>): number => {
    if (exportOf(rule, mesh).includes('*')) return 2;
    return rule.origin.namespace === member.namespace ? 0 : 1;
  };
  return rulesExportedTo({ mesh, member })
    .filter((rule) => rule.spec.gateways.includes(MESH_GATEWAY))
    .toSorted((a, b) => rank(a) - rank(b));
}

const exportOf = ({ spec }: MeshObject<'VirtualService'>, { settings }: Mesh): readonly string[] =>
  spec.exportTo ?? settings.exportTo?.virtualService ?? ['*'];

/** The VirtualServices that a proxy sees, be it a sidecar or a gateway. */
export const rulesExportedTo = ({
  mesh,
  member,
}: Pick<Scope, 'mesh' | 'member'>): readonly MeshObject<'VirtualService'>[] =>
  mesh.rules.VirtualService.filter((rule) => isExported(exportOf(rule, mesh), rule.origin.namespace, member));

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
