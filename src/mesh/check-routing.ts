/**
 * Rules of routing that have no effect beside others.
 * **In**: a mesh. **Out**: warnings at delegates that are not used, services whose port another one has, and warm-up,
 * failover and ejection that never happen. **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import { hasLabels, type Mesh } from './model/mesh.ts';
import { isHttp, oldestFirst, type Service } from './model/model.ts';
import { delegateOf, joinedRoutes } from './resolve/delegates.ts';
import { completeHost } from './resolve/hosts.ts';
import type { PortPolicy, TrafficPolicy } from './rules/destination-rule.ts';
import { type MeshObject, placeAt } from './sources/objects.ts';

type Path = readonly (string | number)[];

export function checkRouting(mesh: Mesh, findings: Findings): void {
  checkDelegates(mesh, findings);
  checkPorts(mesh, findings);
  for (const rule of mesh.rules.DestinationRule) {
    const { trafficPolicy, subsets } = rule.spec;
    checkFailover(rule, trafficPolicy, ['spec', 'trafficPolicy'], findings);
    checkWarmup(rule, trafficPolicy, ['spec', 'trafficPolicy'], findings);
    checkEjection(rule, mesh, findings);
    for (const [at, subset] of subsets.entries()) {
      const path = ['spec', 'subsets', at, 'trafficPolicy'];
      checkFailover(rule, subset.trafficPolicy, path, findings, trafficPolicy);
      checkWarmup(rule, subset.trafficPolicy, path, findings);
    }
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

/** A policy, and those of single ports in it. */
const partsOf = (
  policy: TrafficPolicy | undefined,
  path: Path,
): readonly (readonly [PortPolicy | undefined, Path])[] => [
  [policy, path],
  ...(policy?.portLevelSettings ?? []).map((one, at) => [one, [...path, 'portLevelSettings', at]] as const),
];

/** Envoy's load balancers of random, hashed and own choice give a new endpoint its whole share at once. */
function checkWarmup(
  rule: MeshObject<'DestinationRule'>,
  policy: TrafficPolicy | undefined,
  path: Path,
  findings: Findings,
): void {
  for (const [part, at] of partsOf(policy, path)) {
    const { simple, consistentHash, warmup, warmupDurationSecs } = part?.loadBalancer ?? {};
    if (warmup === undefined && warmupDurationSecs === undefined) continue;
    const ignoring = consistentHash === undefined ? simple : 'consistentHash';
    if (ignoring !== 'RANDOM' && ignoring !== 'PASSTHROUGH' && ignoring !== 'consistentHash') continue;
    const field = warmup === undefined ? 'warmupDurationSecs' : 'warmup';
    findings.add(
      'warning',
      'MESH_RULE',
      placeAt(rule, [...at, 'loadBalancer', field]),
      `with ${ignoring} new endpoints get their whole share at once, so ${field} has no effect; use ROUND_ROBIN or LEAST_REQUEST, or remove it`,
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
  for (const [part, at] of partsOf(policy, path)) {
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

/** Of the endpoints of a cluster, in percent; where a rule does not say. */
const EJECTED_AT_MOST = 10;

/** Envoy ejects no endpoint where even one is more than the share that may be. */
function checkEjection(rule: MeshObject<'DestinationRule'>, mesh: Mesh, findings: Findings): void {
  const { host, trafficPolicy, subsets } = rule.spec;
  const endpoints = mesh.endpoints.get(completeHost(host, rule.origin.namespace, mesh.settings.domain)) ?? [];
  const check = (policy: TrafficPolicy | undefined, path: Path, count: number): void => {
    for (const [part, at] of partsOf(policy, path)) {
      const own = part?.outlierDetection;
      const most = (own?.maxEjectionPercent ?? own?.http?.maxEjectionPercent) || EJECTED_AT_MOST;
      if (own === undefined || count === 0 || count * most >= 100) continue;
      findings.add(
        'warning',
        'MESH_RULE',
        placeAt(rule, [...at, 'outlierDetection']),
        `at most ${most} % of the endpoints are ejected, and of ${count} that is none; write maxEjectionPercent: ${Math.ceil(100 / count)} or more`,
      );
    }
  };
  check(trafficPolicy, ['spec', 'trafficPolicy'], endpoints.length);
  for (const [at, { labels, trafficPolicy: own }] of subsets.entries()) {
    const count = endpoints.filter((one) => hasLabels(one.labels, labels)).length;
    check(own, ['spec', 'subsets', at, 'trafficPolicy'], count);
  }
}
