/**
 * The listeners of a gateway, and the tables that they name: the ports of the Gateways that select it.
 * **In**: what it sees of the mesh. **Out**: listeners and route tables. **Fails**: never.
 */
import { originText } from '../model/model.ts';
import { gatewaysOf, openedPort } from '../resolve/gateways.ts';
import { completeGateway, completeHost, hostsFor, isServed } from '../resolve/hosts.ts';
import { rulesExportedTo, type Scope } from '../resolve/scope.ts';
import type { GatewayServer } from '../rules/gateway.ts';
import type { L4Match } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { checkedChain } from './connection-check.ts';
import { httpManager } from './http-manager.ts';
import type { RouteContext } from './http-routes.ts';
import { isHttpName, listener, type Listening, targets, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { gatewayRoutes, listenerName, tlsGatewayRoutes } from './names.ts';
import { compact, type Json, seconds } from './parts.ts';
import { bySource, type Matched } from './plain-chains.ts';
import { type GatewayPart, gatewayName, gatewayTable } from './route-tables.ts';
import { serverSocket } from './gateway-tls.ts';

interface Served {
  readonly gateway: MeshObject<'Gateway'>;
  readonly server: GatewayServer;
  /** The port of the listener; rules name that of the server. */
  readonly opened: number;
}

export function gatewayListeners(scope: Scope): Listening {
  const served = gatewaysOf(scope).flatMap((gateway): Served[] =>
    gateway.spec.servers.map((server) => ({ gateway, server, opened: openedPort(server.port.number, scope) })),
  );
  const listeners: Made[] = [];
  const tables: Made[] = [];
  const byAddress = Map.groupBy(served, ({ server, opened }) => listenerName(server.bind ?? '0.0.0.0', opened));
  for (const all of byAddress.values()) {
    const [first] = all as [Served];
    const { bind = '0.0.0.0' } = first.server;
    const { opened } = first;
    const plain = all.filter(({ server }) => isHttpName(server.port.protocol) && server.tls?.mode === undefined);
    const chains: Json[] = [];
    const taken = new Set<string>();
    if (plain.length > 0) takes([NO_NAME], taken);
    for (const one of all.filter((other) => !plain.includes(other))) {
      const { chains: own, table } = securedChains(one, taken, scope);
      chains.push(...own);
      if (table !== undefined) tables.push(table);
    }
    if (plain.length > 0) {
      const name = gatewayRoutes(opened, first.server.bind);
      tables.push(gatewayTable(scope, plain.map(partOf), name));
      chains.push({
        filters: [
          gatewayManager(
            name,
            plain.map(({ server }) => server),
            scope,
          ),
        ],
      });
    }
    if (chains.length === 0) continue;
    listeners.push(listener(bind, opened, chains, { traffic_direction: 'OUTBOUND' }, originText(first.gateway.origin)));
  }
  return { listeners, tables };
}

/** A client that does not end its TLS handshake holds a connection no longer. */
const HANDSHAKE = seconds(15_000);

const partOf = ({ gateway, server, opened }: Served): GatewayPart => ({
  gateway,
  port: server.port.number,
  opened,
  hosts: server.hosts,
  redirects: server.tls?.httpsRedirect === true,
});

const gatewayManager = (table: string, servers: readonly GatewayServer[], scope: Scope): Json =>
  httpManager({
    statPrefix: `gateway_${table}`,
    routes: { table },
    direction: 'gateway',
    isGrpcWeb: servers.some(({ port }) => port.protocol === 'GRPC-WEB'),
    scope,
  });

interface Secured {
  readonly chains: readonly Json[];
  readonly table?: Made;
}

/** `taken`: server names of other servers of the port. */
function securedChains(served: Served, taken: Set<string>, scope: Scope): Secured {
  const { gateway, server } = served;
  const { port, hosts, tls } = server;
  const isTerminated = tls?.mode !== undefined && tls.mode !== 'PASSTHROUGH';
  if (tls === undefined) return { chains: takes([NO_NAME], taken) ? tcpRoutes(served, {}, scope).map(chainOf) : [] };
  if (!isTerminated) return { chains: tlsRoutes(served, taken, scope).map(chainOf) };
  const names = hosts.map(({ host }) => host);
  if (!takes(names, taken)) return { chains: [] };
  const match = compact({ server_names: names.includes('*') ? [] : names, transport_protocol: 'tls' });
  const isForHttp = port.protocol === 'HTTPS' || isHttpName(port.protocol);
  const transport_socket = serverSocket(tls, isForHttp ? ['h2', 'http/1.1'] : [], scope);
  if (transport_socket === undefined) return { chains: [] };
  const secured = { transport_socket, transport_socket_connect_timeout: HANDSHAKE };
  if (!isForHttp) return { chains: tcpRoutes(served, match, scope).map((one) => ({ ...chainOf(one), ...secured })) };
  const { origin } = gateway;
  const name = tlsGatewayRoutes(port.number, port.name ?? 'https', origin.name, origin.namespace, server.bind);
  return {
    chains: [{ filter_chain_match: match, filters: [gatewayManager(name, [server], scope)], ...secured }],
    table: gatewayTable(scope, [partOf(served)], name),
  };

  function chainOf({ to, match: of }: Matched): Json {
    const chain = tcpChain(to, 'gateway', scope, Object.keys(of).length === 0 ? undefined : of);
    return checkedChain(chain, served.opened, 'gateway', scope);
  }
}

/** Of connections that are no TLS. */
const NO_NAME = '';

/** False, and takes none, if another chain has one of the server names: Envoy refuses the listener. */
function takes(names: readonly string[], taken: Set<string>, source = ''): boolean {
  const keys = names.map((name) => `${name} ${source}`);
  if (keys.some((key) => taken.has(key))) return false;
  for (const key of keys) taken.add(key);
  return true;
}

/** Passed through, by server name. */
function tlsRoutes(served: Served, taken: Set<string>, scope: Scope): readonly Matched[] {
  const routes = rulesFor(served, scope).flatMap(({ origin, spec }) =>
    spec.tls.flatMap(({ match, route }) =>
      match.filter((one) => isFor(one, origin.namespace, served)).map((one) => ({ one, route, origin })),
    ),
  );
  const found: Matched[] = [];
  for (const { one, route, origin } of routes) {
    const names = one.sniHosts.map((name) => completeHost(name, origin.namespace, scope.mesh.settings.domain));
    if (!takes(names, taken, one.sourceSubnet)) continue;
    found.push({
      to: targets(route, origin.namespace, contextOf(served, scope)),
      match: compact({ server_names: names.includes('*') ? [] : names, transport_protocol: 'tls' }),
      source: one.sourceSubnet,
    });
  }
  return bySource(found);
}

/** The first that takes any client has the rest. */
function tcpRoutes(served: Served, match: Json, scope: Scope): readonly Matched[] {
  const found: Matched[] = [];
  for (const { origin, spec } of rulesFor(served, scope))
    for (const { match: tests = [ANY], route } of spec.tcp) {
      const fitting = tests.filter((one) => isFor(one, origin.namespace, served));
      if (fitting.length === 0) continue;
      const to = targets(route, origin.namespace, contextOf(served, scope));
      if (fitting.some(({ sourceSubnet }) => sourceSubnet === undefined)) return bySource([...found, { to, match }]);
      found.push(...fitting.map(({ sourceSubnet }) => ({ to, match, source: sourceSubnet })));
    }
  return bySource(found);
}

const ANY: GatewayTest = {};

/** VirtualServices that name the gateway, and a host of the server. */
const rulesFor = ({ gateway, server }: Served, scope: Scope): readonly MeshObject<'VirtualService'>[] =>
  rulesExportedTo(scope).filter(({ origin, spec }) => {
    const hosts = hostsFor(server.hosts, gateway.origin.namespace, origin.namespace);
    return (
      spec.gateways.some((name) => completeGateway(name, origin.namespace) === gatewayName(gateway)) &&
      spec.hosts.some((host) => isServed(completeHost(host, origin.namespace, scope.mesh.settings.domain), hosts))
    );
  });

type GatewayTest = Partial<Pick<L4Match, 'port' | 'gateways' | 'sourceSubnet'>>;

const isFor = ({ port, gateways }: GatewayTest, namespace: string, { gateway, server }: Served): boolean =>
  (port === undefined || port === server.port.number) &&
  (gateways === undefined || gateways.some((name) => completeGateway(name, namespace) === gatewayName(gateway)));

const contextOf = ({ gateway, server }: Served, scope: Scope): RouteContext => ({
  scope,
  port: server.port.number,
  gateways: new Set([gatewayName(gateway)]),
});
