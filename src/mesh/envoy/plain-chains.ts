/**
 * How connections that are no HTTP are told apart: TLS by its server name, others by ranges of addresses; both also by the client's.
 * **In**: the services at one address and port. **Out**: the filter chains of its listener. **Fails**: never.
 */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { hasLabels } from '../model/mesh.ts';
import type { Service, ServicePort } from '../model/model.ts';
import { completeGateway, overlap } from '../resolve/hosts.ts';
import { ruleFor } from '../resolve/rule-for.ts';
import type { Scope } from '../resolve/scope.ts';
import { policyFor } from '../resolve/traffic-policy.ts';
import { isServerName } from '../rules/values.ts';
import { type L4Match, MESH_GATEWAY, type TcpRoute } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import type { RouteContext } from './http-routes.ts';
import { type Target, targets, tcpChain } from './listener.ts';
import { outboundCluster } from './names.ts';
import { compact, type Json } from './parts.ts';

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

/** A route, and the connections that it takes. */
export interface Matched {
  readonly to: Target;
  readonly match: Json;
  /** A range of clients; absent: any. */
  readonly source?: string | undefined;
}

/** By the tls rules of its VirtualService in the order written, each name once; else the service itself. */
function tlsTargets({ service, port, ranges, isAlone }: PlainService, scope: Scope): readonly Matched[] {
  const rule = ruleFor(scope.at(port.number).routes, service.host);
  const ruled = (rule?.spec.tls ?? []).flatMap(({ match, route }) =>
    match
      .filter((one) => isFor(one, rule as MeshObject<'VirtualService'>, port.number, scope))
      .filter(({ sniHosts }) => sniHosts.some((name) => name === '*' || overlap(name, service.host)))
      .map(({ sniHosts, destinationSubnets, sourceSubnet }) => ({
        to: targetOf(route, rule as MeshObject<'VirtualService'>, port.number, scope),
        match: tlsMatch(sniHosts, destinationSubnets.length > 0 ? destinationSubnets : ranges),
        source: sourceSubnet,
      })),
  );
  if (ruled.length > 0 || !isServerName(service.host)) return bySource(ruled);
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
 * By the tcp rules of its VirtualService: those that name subnets of the destination each have these, and the first without any subnet has
 * the rest; else the service itself has it.
 */
function tcpTargets({ service, port, ranges }: PlainService, scope: Scope): readonly Matched[] {
  const rule = ruleFor(scope.at(port.number).routes, service.host);
  const own = compact({ prefix_ranges: ranges.map(rangeOf) });
  const found: Matched[] = [];
  const matchOf = (subnets: readonly string[]): Json =>
    subnets.length === 0 ? own : { prefix_ranges: subnets.map(rangeOf) };
  for (const { match, route } of rule?.spec.tcp ?? []) {
    if (rule === undefined) break;
    const fitting = match?.filter((one) => isFor(one, rule, port.number, scope));
    if (fitting?.length === 0) continue;
    const to = targetOf(route, rule, port.number, scope);
    for (const { destinationSubnets, sourceSubnet: source } of fitting ?? [])
      if (source !== undefined) found.push({ to, match: matchOf(destinationSubnets), source });
    const ofAnyClient = fitting?.filter(({ sourceSubnet }) => sourceSubnet === undefined);
    if (ofAnyClient === undefined || ofAnyClient.some(({ destinationSubnets }) => destinationSubnets.length === 0))
      return bySource([...found, { to, match: own }], own);
    const subnets = ofAnyClient.flatMap((one) => one.destinationSubnets);
    if (subnets.length > 0) found.push({ to, match: matchOf(subnets) });
  }
  return bySource([...found, { to: outboundCluster(port.number, undefined, service.host), match: own }], own);
}

/**
 * The first route that takes a connection has it, though Envoy looks for the narrowest range: of its destination, then of its client, and
 * never goes back. So each destination has the routes of all others (`others`), too, and no route for clients that an earlier one takes.
 */
export function bySource(routes: readonly Matched[], others?: Json): readonly Matched[] {
  if (routes.every(({ source }) => source === undefined)) return routes;
  const key = ({ match }: Pick<Matched, 'match'>): string => JSON.stringify(match);
  return [...Map.groupBy(routes, key).values()].flatMap(([first]) => {
    const { match } = first as Matched;
    const own = routes.filter((one) => key(one) === key({ match }) || one.match === others);
    const taken: string[] = [];
    const chains: Matched[] = [];
    for (const { to, source } of own) {
      if (source === undefined) return [...chains, { to, match }];
      if (taken.some((range) => includesRange(range, source))) continue;
      taken.push(source);
      chains.push({ to, match: { ...match, source_prefix_ranges: [rangeOf(source)] }, source });
    }
    return chains;
  });
}

function includesRange(outer: string, inner: string): boolean {
  const [a, b] = [rangeOf(outer), rangeOf(inner)];
  if (isIP(a.address_prefix) !== isIP(b.address_prefix) || a.prefix_len > b.prefix_len) return false;
  const [list, family] = [new BlockList(), isIPv6(a.address_prefix) ? 'ipv6' : 'ipv4'] as const;
  list.addSubnet(a.address_prefix, a.prefix_len, family);
  return list.check(b.address_prefix, family);
}

const targetOf = (
  route: TcpRoute['route'],
  { origin }: MeshObject<'VirtualService'>,
  port: number,
  scope: Scope,
): Target => targets(route, origin.namespace, contextOf(port, scope));

const contextOf = (port: number, scope: Scope): RouteContext => ({ scope, port, gateways: new Set([MESH_GATEWAY]) });

/** Tests that the control plane makes, since the proxy they are about is known. */
function isFor(match: L4Match, { origin }: MeshObject<'VirtualService'>, port: number, { member }: Scope): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (match.gateways !== undefined)
    return match.gateways.some((name) => completeGateway(name, origin.namespace) === MESH_GATEWAY);
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== member.namespace) return false;
  return hasLabels(member.labels, match.sourceLabels);
}

interface Range {
  readonly address_prefix: string;
  readonly prefix_len: number;
}

function rangeOf(text: string): Range & Json {
  const [address_prefix = '', length] = text.split('/');
  return { address_prefix, prefix_len: Number(length ?? (isIPv6(address_prefix) ? 128 : 32)) };
}
