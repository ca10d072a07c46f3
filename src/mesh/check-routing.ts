/**
 * Rules of routing that have no effect beside others.
 * **In**: a mesh. **Out**: warnings at delegates that are not used, services whose port another one has, and failover that never happens.
 * **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import type { Mesh } from './model/mesh.ts';
import { isHttp, oldestFirst, type Service } from './model/model.ts';
import { delegateOf, joinedRoutes } from './resolve/delegates.ts';
import type { TrafficPolicy } from './rules/destination-rule.ts';
import { type MeshObject, placeAt } from './sources/objects.ts';

type Path = readonly (string | number)[];

export function checkRouting(mesh: Mesh, findings: Findings): void {
  checkDelegates(mesh, findings);
  checkPorts(mesh, findings);
  for (const rule of mesh.rules.DestinationRule) {
    const { trafficPolicy, subsets } = rule.spec;
    checkFailover(rule, trafficPolicy, ['spec', 'trafficPolicy'], findings);
    for (const [at, subset] of subsets.entries())
      checkFailover(rule, subset.trafficPolicy, ['spec', 'subsets', at, 'trafficPolicy'], findings, trafficPolicy);
  }
}

function checkDelegates({ rules: { VirtualService } }: Mesh, findings: Findings): void {
  const used = new Set<MeshObject<'VirtualService'>>();
  const warn = (rule: MeshObject<'VirtualService'>, path: Path, message: string): void =>
    findings.add('warning', 'MESH_UNUSED', placeAt(rule, path), message);
  for (const rule of VirtualService)
    for (const [at, route] of rule.spec.http.entries()) {
      if (route.delegate === undefined) continue;
      const { name, namespace = rule.origin.namespace } = route.delegate;
      const delegate = delegateOf(rule, route.delegate, VirtualService);
      if (delegate === undefined) {
        const why = `no VirtualService without hosts is named ${namespace}/${name} and exported to this namespace`;
        warn(rule, ['spec', 'http', at, 'delegate', 'name'], `${why}; the route is left out`);
        continue;
      }
      used.add(delegate);
      for (const { at: nth, joined } of joinedRoutes(rule, route, delegate))
        if (joined === undefined)
          warn(
            delegate,
            ['spec', 'http', nth, 'match'],
            `it matches calls that http[${at}] of ${rule.origin.namespace}/${rule.origin.name} does not leave to it; the route is left out there`,
          );
    }
  for (const rule of VirtualService)
    if (rule.spec.hosts.length === 0 && !used.has(rule))
      warn(rule, ['metadata', 'name'], 'it has no hosts, and no VirtualService delegates to it');
}

/** HTTP is told apart by hosts, and other services by addresses; one of these without an address has the whole port. */
function checkPorts({ services }: Mesh, findings: Findings): void {
  const owners = new Map<number, { readonly service: Service; readonly isForHttp: boolean }>();
  for (const service of oldestFirst(services.values()))
    for (const { number, protocol } of service.ports) {
      const isForHttp = isHttp(protocol);
      if (protocol === 'udp' || (!isForHttp && (service.addresses.length > 0 || service.isHeadless))) continue;
      const owner = owners.get(number);
      if (owner === undefined) owners.set(number, { service, isForHttp });
      else if (owner.isForHttp !== isForHttp)
        findings.add(
          'warning',
          'MESH_UNUSED',
          service.origin.place,
          `calls to port ${number} do not reach ${service.host}: ${owner.service.host} is older, and as one of them is no HTTP and has no address, they cannot be told apart`,
        );
    }
}

function checkFailover(
  rule: MeshObject<'DestinationRule'>,
  policy: TrafficPolicy | undefined,
  path: Path,
  findings: Findings,
  outer?: TrafficPolicy,
): void {
  const parts = [
    [policy, path] as const,
    ...(policy?.portLevelSettings ?? []).map((one, at) => [one, [...path, 'portLevelSettings', at]] as const),
  ];
  for (const [part, at] of parts) {
    const setting = part?.loadBalancer?.localityLbSetting;
    if (setting === undefined || setting.failover.length + setting.failoverPriority.length === 0) continue;
    if ((part?.outlierDetection ?? outer?.outlierDetection) === undefined)
      findings.add(
        'warning',
        'MESH_RULE',
        placeAt(rule, [...at, 'loadBalancer', 'localityLbSetting']),
        'without outlierDetection beside it no endpoint counts as failing, so this has no effect',
      );
  }
}
