/**
 * The listeners of a gateway, and the tables that they name: the ports of the Gateways that select it.
 * **In**: what it sees of the mesh. **Out**: listeners and route tables. **Fails**: never.
 */
import { originText } from '../model/model.ts';
import { gatewaysOf } from '../resolve/gateways.ts';
import { completeGateway, completeHost } from '../resolve/hosts.ts';
import type { Scope } from '../resolve/scope.ts';
import type { GatewayServer } from '../rules/gateway.ts';
import type { MeshObject } from '../sources/objects.ts';
import { checkedChain } from './connection-check.ts';
import { httpManager } from './http-manager.ts';
import type { RouteContext } from './http-routes.ts';
import { isHttpName, listener, type Listening, type Target, targets, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { gatewayRoutes, listenerName, tlsGatewayRoutes } from './names.ts';
import { compact, type Json, seconds } from './parts.ts';
import { type GatewayPart, gatewayName, gatewayTable } from './route-tables.ts';
import { credentialSecrets, serverSocket } from './gateway-tls.ts';

interface Served {
  readonly gateway: MeshObject<'Gateway'>;
  readonly server: GatewayServer;
}

export function gatewayListeners(scope: Scope): Listening {
  const served = gatewaysOf(scope).flatMap((gateway): Served[] =>
    gateway.spec.servers.map((server) => ({ gateway, server })),
  );
  const listeners: Made[] = [];
  const tables: Made[] = [];
  const secrets = credentialSecrets(
    served.map(({ server }) => server),
    scope,
  );
  const byAddress = Map.groupBy(served, ({ server }) => listenerName(server.bind ?? '0.0.0.0', server.port.number));
  for (const own of byAddress.values()) {
    const [first] = own as [Served];
    const { bind = '0.0.0.0', port } = first.server;
    const plain = own.filter(({ server }) => isHttpName(server.port.protocol) && server.tls?.mode === undefined);
    const chains: Json[] = [];
    for (const one of own.filter((other) => !plain.includes(other))) {
      const { chain, table } = securedChain(one, scope);
      chains.push(...chain);
      if (table !== undefined) tables.push(table);
    }
    if (plain.length > 0) {
      tables.push(gatewayTable(scope, port.number, plain.map(partOf)));
      chains.push({ filters: [gatewayManager(gatewayRoutes(port.number), scope)] });
    }
    if (chains.length === 0) continue;
    listeners.push(
      listener(bind, port.number, chains, { traffic_direction: 'OUTBOUND' }, originText(first.gateway.origin)),
    );
  }
  return { listeners, tables, secrets };
}

/** A client that does not end its TLS handshake holds a connection no longer. */
const HANDSHAKE = seconds(15_000);

const partOf = ({ gateway, server }: Served): GatewayPart => ({
  gateway,
  hosts: server.hosts,
  redirects: server.tls?.httpsRedirect === true,
});

const gatewayManager = (table: string, scope: Scope): Json =>
  httpManager({ statPrefix: `gateway_${table}`, routes: { table }, direction: 'gateway', scope });

function securedChain(
  { gateway, server }: Served,
  scope: Scope,
): { readonly chain: readonly Json[]; readonly table: Made | undefined } {
  const { port, hosts, tls } = server;
  const names = hosts.includes('*') ? [] : hosts;
  const match = compact({ server_names: [...names], transport_protocol: tls === undefined ? undefined : 'tls' });
  const isTerminated = tls?.mode !== undefined && tls.mode !== 'PASSTHROUGH';
  const isForHttp = port.protocol === 'HTTPS' || isHttpName(port.protocol);
  const transport_socket = isTerminated ? serverSocket(tls, isForHttp ? ['h2', 'http/1.1'] : [], scope) : undefined;
  if (isTerminated && transport_socket === undefined) return { chain: [], table: undefined };
  if (transport_socket !== undefined && isForHttp) {
    const name = tlsGatewayRoutes(port.number, port.name ?? 'https', gateway.origin.name, gateway.origin.namespace);
    return {
      chain: [
        {
          filter_chain_match: match,
          filters: [gatewayManager(name, scope)],
          transport_socket,
          transport_socket_connect_timeout: HANDSHAKE,
        },
      ],
      table: gatewayTable(scope, port.number, [partOf({ gateway, server })], name),
    };
  }
  const own = gatewayTargets({ gateway, server }, scope);
  return {
    chain: own.map(({ to, sniHosts }) => ({
      ...checkedChain(
        tcpChain(
          to,
          'gateway',
          scope,
          compact({ ...match, server_names: sniHosts.length > 0 ? sniHosts : [...names] }),
        ),
        port.number,
        'gateway',
        scope,
      ),
      ...(transport_socket === undefined ? {} : { transport_socket, transport_socket_connect_timeout: HANDSHAKE }),
    })),
    table: undefined,
  };
}

/** By tls rules (passed through, by server name) or tcp rules of the VirtualServices that name the gateway. */
function gatewayTargets({ gateway, server }: Served, scope: Scope): { to: Target; sniHosts: string[] }[] {
  const { port } = server;
  const context: RouteContext = { scope, port: port.number, gateways: new Set([gatewayName(gateway)]) };
  const found: { to: Target; sniHosts: string[] }[] = [];
  for (const { origin, spec } of scope.mesh.rules.VirtualService) {
    if (!spec.gateways.some((name) => completeGateway(name, origin.namespace) === gatewayName(gateway))) continue;
    const fits = (match: { readonly port?: number | undefined }): boolean =>
      match.port === undefined || match.port === port.number;
    for (const { match, route } of spec.tls) {
      const sniHosts = match
        .filter(fits)
        .flatMap((one) => one.sniHosts.map((name) => completeHost(name, origin.namespace, scope.mesh.settings.domain)));
      if (sniHosts.length > 0) found.push({ to: targets(route, origin.namespace, context), sniHosts });
    }
    for (const { match, route } of spec.tcp)
      if (match === undefined || match.some(fits))
        found.push({ to: targets(route, origin.namespace, context), sniHosts: [] });
  }
  return found;
}
