/**
 * How connections that are no HTTP are told apart: TLS by its server name, others by ranges of addresses.
 * **In**: the services at one address and port. **Out**: the filter chains of its listener. **Fails**: never.
 */
import { hasLabels } from '../model/mesh.ts';
import type { Service, ServicePort } from '../model/model.ts';
import { completeGateway, overlap } from '../resolve/hosts.ts';
import type { Scope } from '../resolve/scope.ts';
import { policyFor } from '../resolve/traffic-policy.ts';
import { isServerName } from '../rules/values.ts';
import { MESH_GATEWAY, type TcpRoute, type TlsRoute } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import type { RouteContext } from './http-routes.ts';
import { type Target, targets, tcpChain } from './listener.ts';
import { outboundCluster } from './names.ts';
import { compact, type Json } from './parts.ts';
import { ruleFor } from './route-tables.ts';

export interface PlainService {
  readonly service: Service;
  readonly port: ServicePort;
  /** Of its addresses, where they are not each an address of its own. */
  readonly ranges: readonly string[];
  /** The address of the listener is its own. */
  readonly isAlone: boolean;
}

/** Of several that would get the same connections the first has them. */
export function plainChains(services: readonly PlainService[], scope: Scope): Json[] {
  const chains = new Map<string, Json>();
  for (const one of services) {
    const policy = policyFor(scope.destinationRule(one.service.host)?.spec, one.port.number);
    const idleMs = policy.connectionPool?.tcp?.idleTimeout;
    for (const { to, match } of isTls(one.port) ? tlsTargets(one, scope) : tcpTargets(one, scope)) {
      const key = JSON.stringify(match);
      if (chains.has(key)) continue;
      chains.set(key, tcpChain(to, 'outbound', scope, Object.keys(match).length === 0 ? undefined : match, idleMs));
    }
  }
  return [...chains.values()];
}

const isTls = ({ protocol }: ServicePort): boolean => protocol === 'tls' || protocol === 'https';

interface Matched {
  readonly to: Target;
  readonly match: Json;
}

/** By the tls rules of its VirtualService in the order written, each name once; else the service itself. */
function tlsTargets({ service, port, ranges, isAlone }: PlainService, scope: Scope): readonly Matched[] {
  const rule = ruleFor(scope.routes, service.host);
  const ruled = (rule?.spec.tls ?? []).flatMap(({ match, route }) =>
    match
      .filter((one) => isFor(one, rule as MeshObject<'VirtualService'>, port.number, scope))
      .filter(({ sniHosts }) => sniHosts.some((name) => name === '*' || overlap(name, service.host)))
      .map(({ sniHosts, destinationSubnets }) => ({
        to: targetOf(route, rule as MeshObject<'VirtualService'>, port.number, scope),
        match: tlsMatch(sniHosts, destinationSubnets.length > 0 ? destinationSubnets : ranges),
      })),
  );
  if (ruled.length > 0 || !isServerName(service.host)) return ruled;
  const to = outboundCluster(port.number, undefined, service.host);
  return [{ to, match: isAlone ? {} : tlsMatch([service.host], ranges) }];
}

const tlsMatch = (names: readonly string[], ranges: readonly string[]): Json =>
  compact({
    server_names: names.includes('*') ? [] : [...names],
    transport_protocol: 'tls',
    prefix_ranges: ranges.map(rangeOf),
  });

/**
 * By the tcp rules of its VirtualService: those that name subnets of the destination each have these, and the first without any has the
 * rest; else the service itself has it.
 */
function tcpTargets({ service, port, ranges }: PlainService, scope: Scope): readonly Matched[] {
  const rule = ruleFor(scope.routes, service.host);
  const own = { prefix_ranges: ranges.map(rangeOf) };
  const found: Matched[] = [];
  for (const { match, route } of rule?.spec.tcp ?? []) {
    if (rule === undefined) break;
    const fitting = match?.filter((one) => isFor(one, rule, port.number, scope));
    if (fitting?.length === 0) continue;
    const to = targetOf(route, rule, port.number, scope);
    if (fitting === undefined || fitting.some(({ destinationSubnets }) => destinationSubnets.length === 0))
      return [...found, { to, match: compact(own) }];
    found.push({ to, match: { prefix_ranges: fitting.flatMap((one) => one.destinationSubnets.map(rangeOf)) } });
  }
  return [...found, { to: outboundCluster(port.number, undefined, service.host), match: compact(own) }];
}

const targetOf = (
  route: TcpRoute['route'],
  { origin }: MeshObject<'VirtualService'>,
  port: number,
  scope: Scope,
): Target => targets(route, origin.namespace, contextOf(port, scope));

const contextOf = (port: number, scope: Scope): RouteContext => ({ scope, port, gateways: new Set([MESH_GATEWAY]) });

/** Tests that the control plane makes, since the proxy they are about is known. */
function isFor(
  match: Omit<TlsRoute['match'][number], 'sniHosts'>,
  { origin }: MeshObject<'VirtualService'>,
  port: number,
  { member }: Scope,
): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (match.gateways !== undefined)
    return match.gateways.some((name) => completeGateway(name, origin.namespace) === MESH_GATEWAY);
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== member.namespace) return false;
  return hasLabels(member.labels, match.sourceLabels);
}

function rangeOf(text: string): Json {
  const [address_prefix = '', length] = text.split('/');
  return { address_prefix, prefix_len: Number(length ?? (address_prefix.includes(':') ? 128 : 32)) };
}
