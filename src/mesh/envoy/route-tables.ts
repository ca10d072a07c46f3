/**
 * Tables of routes: what a sidecar's port, or a gateway's, does with each host.
 * **In**: the services and rules that a proxy sees. **Out**: RouteConfigurations. **Fails**: never.
 */
import { ROUTES } from '../../xds/index.ts';
import { isHttp, originText, type Service } from '../model/model.ts';
import {
  bySpecificity,
  completeGateway,
  completeHost,
  hostsFor,
  isServed,
  namesOf,
  overlap,
} from '../resolve/hosts.ts';
import type { GatewayHost } from '../rules/gateway.ts';
import { MAX_BODY_BYTES, MESH_GATEWAY } from '../rules/virtual-service.ts';
import { idOf } from '../revisions.ts';
import { ruleFor } from '../resolve/rule-for.ts';
import { rulesExportedTo, type Scope } from '../resolve/scope.ts';
import type { MeshObject } from '../sources/objects.ts';
import { askedWith } from './http-manager.ts';
import { type RouteContext, routesOf } from './http-routes.ts';
import { made, type Made, type TableParts } from './made.ts';
import { PASSTHROUGH, sidecarRoutes } from './names.ts';
import { compact, type Json, seconds } from './parts.ts';
import { ATTEMPTS, type VirtualHost, virtualHostJson } from './virtual-hosts.ts';

/** Of a sidecar's port: each service of the mesh with a port of this number. */
export function sidecarTable(scope: Scope, port: number): Made {
  const { mesh, member } = scope;
  const { services, routes } = scope.at(port);
  const hosts: VirtualHost[] = [];
  const taken = new Set<string>();
  const origins: string[] = [];
  for (const service of services.values()) {
    if (!service.ports.some((one) => one.number === port && isHttp(one.protocol))) continue;
    const rule = ruleFor(routes, service.host);
    // Two services may have one short name in the eyes of a namespace; the first host has it.
    const all = domainsOf(service, member.namespace, mesh.settings.domain);
    const domains = all.some((name) => taken.has(name)) ? all.filter((name) => !taken.has(name)) : all;
    for (const name of domains) taken.add(name);
    if (rule !== undefined) origins.push(originText(rule.origin));
    hosts.push({
      host: service.host,
      port,
      domains,
      domainsKey: domains === all ? idOf(all) : domains.join(' '),
      rule,
    });
  }
  if (port === HTTP_PORT)
    for (const [host, rule] of routes) {
      if (rule.spec.http.length === 0 || taken.has(host)) continue;
      if (isOfService(host, mesh.services) && !hasHttpPort(mesh.services.get(host)) && !namesHttpPort(rule)) continue;
      const service = services.get(host);
      const names = service === undefined ? [host] : domainsOf(service, member.namespace, mesh.settings.domain);
      const domains = names.filter((name) => !taken.has(name));
      for (const name of domains) taken.add(name);
      hosts.push({ host, port, domains, domainsKey: domains.join(' '), rule });
      origins.push(originText(rule.origin));
    }
  const name = sidecarRoutes(port);
  const last = catchAll(scope.outbound);
  const parts: TableParts = { scope, hosts, others: { virtual_hosts: [last], ...TABLE } };
  const whole: Made = {
    typeUrl: ROUTES,
    name,
    origin: origins.join('; ') || undefined,
    get json() {
      return { name, virtual_hosts: [...hosts.map((host) => virtualHostJson(host, scope)), last], ...TABLE };
    },
  };
  return Object.defineProperty(whole, 'table', { value: parts }); // not enumerable, since it leads to the whole mesh
}

interface Domains {
  readonly domain: string;
  /** The second part of its host, which is its namespace where it is of Kubernetes. */
  readonly namespace: string;
  /** To callers of its own namespace, and of others. */
  readonly near: readonly string[];
  readonly far: readonly string[];
}
const knownDomains = new WeakMap<Service, Domains>();

/** By which proxies of a namespace call a service. The same list for as long as the service is the same value. */
function domainsOf(service: Service, from: string, domain: string): readonly string[] {
  let known = knownDomains.get(service);
  if (known?.domain !== domain) {
    const [, namespace = ''] = service.host.split('.');
    known = {
      domain,
      namespace,
      near: domainsTo(service, namespace, domain),
      far: domainsTo(service, '', domain),
    };
    knownDomains.set(service, known);
  }
  return known.namespace === from ? known.near : known.far;
}

/** Its names and addresses; names of its pods, too, as in mongo-0.mongo. */
function domainsTo({ host, isHeadless, addresses }: Service, namespace: string, domain: string): readonly string[] {
  const names = namesOf(host, namespace, domain);
  return [
    ...names,
    ...(isHeadless ? names.map((name) => `*.${name}`) : []),
    ...addresses.filter((one) => !one.includes('/')).map((ip) => (ip.includes(':') ? `[${ip}]` : ip)),
  ];
}

/**
 * Where a host is served that has a rule, and no service that says its ports, or a rule that names this one, as for TLS that a gateway
 * makes.
 */
const HTTP_PORT = 80;
const namesHttpPort = ({ spec }: MeshObject<'VirtualService'>): boolean =>
  spec.http.some(({ match = [] }) =>
    match.some(({ port, gateways }) => port === HTTP_PORT && gateways?.includes(MESH_GATEWAY) !== false),
  );
const hasHttpPort = (service: Service | undefined): boolean =>
  service?.ports.some(({ number, protocol }) => number === HTTP_PORT && isHttp(protocol)) === true;
const isOfService = (host: string, services: Scope['services']): boolean =>
  services.has(host) || (host.startsWith('*') && [...services.keys()].some((one) => overlap(host, one)));

/** Hosts that the mesh does not know. */
const catchAll = (outbound: 'ALLOW_ANY' | 'REGISTRY_ONLY'): Json =>
  outbound === 'ALLOW_ANY'
    ? {
        name: 'allow_any',
        domains: ['*'],
        routes: [{ match: { prefix: '/' }, route: { cluster: PASSTHROUGH, timeout: seconds(0) } }],
      }
    : { name: 'block_all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 502 } }] };

const TABLE: Json = {
  validate_clusters: false,
  max_direct_response_body_size_bytes: MAX_BODY_BYTES, // Envoy refuses routes with a larger body, by itself one of 4 KiB
  ignore_port_in_host_matching: true,
};

// ---------------------------------------------------------- gateways

/** A server of a Gateway object, with the name of its gateway. */
export interface GatewayPart {
  readonly gateway: MeshObject<'Gateway'>;
  /** That rules name. */
  readonly port: number;
  /** Of the listener. */
  readonly opened: number;
  readonly hosts: readonly GatewayHost[];
  /** Answers plain requests by a redirect to HTTPS. */
  readonly redirects: boolean;
}

/** Of the servers of one listener: hosts of the VirtualServices that name one of their gateways. */
export function gatewayTable(scope: Scope, parts: readonly GatewayPart[], name: string): Made {
  const { mesh } = scope;
  const { port = 0, opened = port } = parts[0] ?? {};
  const byHost = new Map<string, { routes: Json[]; redirects: boolean }>();
  const origins: string[] = [];
  for (const rule of rulesExportedTo(scope)) {
    if (rule.spec.http.length === 0) continue;
    const named = new Set(rule.spec.gateways.map((one) => completeGateway(one, rule.origin.namespace)));
    const bound = parts.filter(({ gateway }) => named.has(gatewayName(gateway)));
    if (bound.length === 0) continue;
    const context: RouteContext = { scope, port, gateways: new Set(bound.map(({ gateway }) => gatewayName(gateway))) };
    for (const host of rule.spec.hosts.map((one) => completeHost(one, rule.origin.namespace, mesh.settings.domain))) {
      const serving = bound.filter((part) => isServed(host, hostsOf(part, rule)));
      if (serving.length === 0) continue;
      // Its hosts are those of the rule, unless the rule has a wildcard and the gateway fewer.
      const domains = host === '*' ? [...new Set(serving.flatMap((part) => hostsOf(part, rule)))] : [host];
      for (const domain of domains) {
        const known = byHost.get(domain) ?? { routes: [], redirects: false };
        known.routes.push(...routesOf(rule, context));
        known.redirects ||= serving.some(({ redirects }) => redirects);
        byHost.set(domain, known);
      }
      origins.push(originText(rule.origin));
    }
  }
  // A server that redirects needs no rule.
  for (const { host } of parts.flatMap(({ redirects, hosts }) => (redirects ? hosts : [])))
    byHost.set(host, { routes: byHost.get(host)?.routes ?? [], redirects: true });
  const hosts = [...byHost]
    .toSorted(([a], [b]) => bySpecificity(a, b))
    .map(([domain, { routes, redirects }]) =>
      compact({
        name: `${domain}:${port}`,
        domains: [domain],
        ...ATTEMPTS,
        routes: catchAllsLast(routes),
        require_tls: redirects ? 'ALL' : undefined,
        ...askedWith(scope, opened),
      }),
    );
  const blackHole = { name: `blackhole:${port}`, domains: ['*'] };
  const all = byHost.has('*') ? hosts : [...hosts, blackHole];
  return made(ROUTES, { name, virtual_hosts: all, ...TABLE }, [...new Set(origins)].join('; ') || undefined);
}

const hostsOf = ({ gateway, hosts }: GatewayPart, { origin }: MeshObject<'VirtualService'>): readonly string[] =>
  hostsFor(hosts, gateway.origin.namespace, origin.namespace);

export const gatewayName = ({ origin }: MeshObject<'Gateway'>): string => `${origin.namespace}/${origin.name}`;

/** Routes of several rules for one host are joined; one that takes all would hide those of the next rule. */
function catchAllsLast(routes: readonly Json[]): Json[] {
  const isCatchAll = ({ match }: Json): boolean => JSON.stringify(match) === '{"prefix":"/"}';
  return [...routes.filter((route) => !isCatchAll(route)), ...routes.filter(isCatchAll)];
}
