/**
 * The listeners of a sidecar, and the tables that they name.
 * **In**: what it sees of the mesh. **Out**: listeners and route tables. **Fails**: never.
 *
 * A sidecar without interception (`INTERCEPTION_MODE: NONE`) opens the ports that its Sidecar names, or one on 127.0.0.1 for each port
 * number of a service.
 */
import { hasLabels } from '../model/mesh.ts';
import { isHttp, originText, type Service, type ServicePort } from '../model/model.ts';
import { covers } from '../resolve/hosts.ts';
import type { Scope } from '../resolve/scope.ts';
import type { SidecarEgress } from '../rules/gateway.ts';
import type { MeshObject } from '../sources/objects.ts';
import { askedWith, httpManager } from './http-manager.ts';
import type { RouteContext } from './http-routes.ts';
import { INSPECTED, isHttpName, listener, type Listening, type Target, targets, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { inboundCluster, listenerName, outboundCluster, sidecarRoutes } from './names.ts';
import { compact, type Json, withTimeout } from './parts.ts';
import { sidecarTable } from './route-tables.ts';

const LOOPBACK = '127.0.0.1';

export function sidecarListeners(scope: Scope): Listening {
  const { sidecar } = scope;
  const listeners: Made[] = [];
  const tables = new Map<number, Made>();
  for (const { port, bind } of sidecar?.spec.ingress ?? []) {
    const isPlain = !isHttpName(port.protocol);
    const chain = isPlain
      ? tcpChain(inboundCluster(port.number), 'inbound', scope)
      : { filters: [inboundManager(port.number, scope)] };
    listeners.push(
      listener(bind ?? scope.member.address, port.number, [chain], { traffic_direction: 'INBOUND' }, originOf(sidecar)),
    );
  }
  const named = (sidecar?.spec.egress ?? []).filter((one) => one.port !== undefined);
  for (const { address, number, isForHttp } of named.length > 0 ? named.map(egressAt) : portsOf(scope)) {
    if (!isForHttp) {
      listeners.push(...plainListeners(address, number, scope));
      continue;
    }
    if (!tables.has(number)) tables.set(number, sidecarTable(scope, number));
    const manager = httpManager({
      statPrefix: `outbound_${listenerName(address, number)}`,
      routes: { table: sidecarRoutes(number) },
      direction: 'outbound',
      scope,
    });
    listeners.push(
      listener(address, number, [{ filters: [manager] }], { traffic_direction: 'OUTBOUND' }, originOf(sidecar)),
    );
  }
  return { listeners: distinct(listeners), tables: [...tables.values()] };
}

const originOf = (sidecar: MeshObject<'Sidecar'> | undefined): string | undefined =>
  sidecar === undefined ? undefined : originText(sidecar.origin);

interface OutboundAt {
  readonly address: string;
  readonly number: number;
  readonly isForHttp: boolean;
}

const egressAt = ({ port, bind }: SidecarEgress): OutboundAt => ({
  address: bind ?? LOOPBACK,
  number: port?.number ?? 0,
  isForHttp: isHttpName(port?.protocol ?? 'HTTP'),
});

/** One listener for all HTTP services of a port number, told apart by their hosts; of an HTTP and a TCP service the oldest wins. */
function portsOf({ services }: Scope): readonly OutboundAt[] {
  const ports = new Map<number, OutboundAt & { readonly createdMs: number }>();
  for (const { ports: own, origin } of services.values())
    for (const { number, protocol } of own) {
      const known = ports.get(number);
      if (protocol === 'udp' || (known !== undefined && known.createdMs <= origin.createdMs)) continue;
      ports.set(number, { address: LOOPBACK, number, isForHttp: isHttp(protocol), createdMs: origin.createdMs });
    }
  return [...ports.values()].toSorted((a, b) => a.number - b.number);
}

function inboundManager(port: number, scope: Scope): Json {
  const name = inboundCluster(port);
  return httpManager({
    statPrefix: `inbound_${port}`,
    routes: {
      inline: {
        name,
        validate_clusters: false,
        virtual_hosts: [
          compact({
            name: `inbound|http|${port}`,
            domains: ['*'],
            routes: [
              {
                name: 'default',
                match: { prefix: '/' },
                route: { cluster: name, ...withTimeout(0) },
              },
            ],
            ...askedWith(scope, port),
          }),
        ],
      },
    },
    direction: 'inbound',
    scope,
  });
}

/** A service that is no HTTP has its port to itself; TLS is told apart by its server name. */
function plainListeners(address: string, number: number, scope: Scope): Made[] {
  const services = [...scope.services.values()].flatMap((service) =>
    service.ports.filter((port) => port.number === number && !isHttp(port.protocol)).map((port) => ({ service, port })),
  );
  const [first] = services;
  if (first === undefined) return [];
  const byName = services.filter(({ port }) => port.protocol === 'tls' || port.protocol === 'https');
  const chains = byName.length > 0 ? byName.map(({ service, port }) => tlsChain(service, port, scope)) : [];
  const plain = services.find(({ port }) => port.protocol !== 'tls' && port.protocol !== 'https');
  if (plain !== undefined) chains.push(tcpChain(tcpTarget(plain.service, plain.port, scope), 'outbound', scope));
  return [
    listener(
      address,
      number,
      chains,
      { traffic_direction: 'OUTBOUND', ...(byName.length > 0 ? INSPECTED : {}) },
      originText(first.service.origin),
    ),
  ];
}

const tlsChain = (service: Service, port: ServicePort, scope: Scope): Json =>
  tcpChain(tcpTarget(service, port, scope), 'outbound', scope, {
    server_names: [service.host],
    transport_protocol: 'tls',
  });

/** By the first tcp or tls rule of its VirtualService, else the service itself. */
function tcpTarget({ host }: Service, { number }: ServicePort, scope: Scope): Target {
  const rule = scope.routes.get(host);
  const context: RouteContext = { scope, port: number, gateways: new Set(['mesh']) };
  const fits = (match: {
    readonly port?: number | undefined;
    readonly sourceLabels: Readonly<Record<string, string>>;
  }): boolean =>
    (match.port === undefined || match.port === number) && hasLabels(scope.member.labels, match.sourceLabels);
  const route =
    rule?.spec.tls.find(({ match }) =>
      match.some((one) => fits(one) && one.sniHosts.some((name) => covers(name, host))),
    ) ?? rule?.spec.tcp.find(({ match }) => match === undefined || match.some(fits));
  if (rule === undefined || route === undefined) return outboundCluster(number, undefined, host);
  return targets(route.route, rule.origin.namespace, context);
}

/** The first of a name: two listeners at one address would be refused, both of them. */
const distinct = (all: readonly Made[]): readonly Made[] =>
  [...new Map(all.toReversed().map((one) => [one.name, one])).values()].toReversed();
