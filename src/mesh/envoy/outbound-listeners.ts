/**
 * How calls of the application of a sidecar leave, and the tables of their routes.
 * **In**: what a proxy sees of the mesh. **Out**: its outbound listeners, and route tables. **Fails**: never.
 */
import { hasLabels } from '../model/mesh.ts';
import { isHttp, originText, type Service, type ServicePort } from '../model/model.ts';
import { covers } from '../resolve/hosts.ts';
import type { Scope } from '../resolve/scope.ts';
import type { SidecarEgress } from '../rules/gateway.ts';
import { httpManager } from './http-manager.ts';
import type { RouteContext } from './http-routes.ts';
import { INSPECTED, isHttpName, listener, type Listening, type Target, targets, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { listenerName, outboundCluster, sidecarRoutes } from './names.ts';
import type { Json } from './parts.ts';
import { sidecarTable } from './route-tables.ts';

const LOOPBACK = '127.0.0.1';

/** The ports that its Sidecar names, or one on 127.0.0.1 for each port number of a service; bound. */
export function outboundListeners(scope: Scope): Listening {
  const { sidecar } = scope;
  const origin = sidecar === undefined ? undefined : originText(sidecar.origin);
  const listeners: Made[] = [];
  const tables = new Map<number, Made>();
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
    listeners.push(listener(address, number, [{ filters: [manager] }], { traffic_direction: 'OUTBOUND' }, origin));
  }
  return { listeners, tables: [...tables.values()] };
}

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
