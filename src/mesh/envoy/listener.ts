/** Parts that listeners of sidecars and of gateways share. */
import { LISTENER } from '../../xds/index.ts';
import type { Scope } from '../resolve/scope.ts';
import { accessLogs } from './access-logs.ts';
import { clusterOf, type RouteContext } from './http-routes.ts';
import { made, type Made } from './made.ts';
import { BLACK_HOLE, listenerName } from './names.ts';
import { any, compact, type Json, seconds, socketAddress } from './parts.ts';

export interface Listening {
  readonly listeners: readonly Made[];
  readonly tables: readonly Made[];
}

/** `extra`: other fields, `name` among them if it is not by its address. */
export const listener = (address: string, port: number, chains: readonly Json[], extra: Json, origin?: string): Made =>
  made(
    LISTENER,
    compact({
      name: listenerName(address, port),
      address: socketAddress(address, port),
      filter_chains: [...chains],
      ...extra,
      listener_filters: [...((extra['listener_filters'] as Json[] | undefined) ?? []), ...inspectors(chains)],
    }),
    origin,
  );

const TLS_INSPECTOR = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector';

/**
 * A chain that matches TLS or a name never matches without it. It waits for the first octets of the client, so ports whose chains need none
 * are left out: a server that speaks first would wait with it.
 */
function inspectors(chains: readonly Json[]): Json[] {
  const looking = chains.filter(looksInside);
  if (looking.length === 0) return [];
  const blind = [...new Set(chains.map(portOf))].filter((port) => !looking.some((chain) => portOf(chain) === port));
  const isForAll = looking.some((chain) => portOf(chain) === undefined);
  const inspected = [...new Set(looking.map(portOf))];
  const left = isForAll ? anyOf(blind) : { not_match: anyOf(inspected) };
  const isLimited = !isForAll || blind.length > 0;
  return [
    compact({
      name: 'envoy.filters.listener.tls_inspector',
      typed_config: any(TLS_INSPECTOR),
      filter_disabled: isLimited ? left : undefined,
    }),
  ];
}

interface ChainMatch {
  readonly destination_port?: number;
  readonly transport_protocol?: string;
  readonly server_names?: readonly string[];
  readonly application_protocols?: readonly string[];
}
const matchOf = (chain: Json): ChainMatch => (chain['filter_chain_match'] ?? {}) as ChainMatch;
const portOf = (chain: Json): number | undefined => matchOf(chain).destination_port;
const looksInside = (chain: Json): boolean => {
  const {
    transport_protocol: transport,
    server_names: names = [],
    application_protocols: protocols = [],
  } = matchOf(chain);
  return transport !== undefined || names.length > 0 || protocols.length > 0;
};

/** A predicate of connections to one of the ports. */
function anyOf(ports: readonly (number | undefined)[]): Json {
  const rules = ports.flatMap((port) =>
    port === undefined ? [] : [{ destination_port_range: { start: port, end: port + 1 } }],
  );
  const [only] = rules;
  return rules.length === 1 && only !== undefined ? only : { or_match: { rules } };
}

export const isHttpName = (protocol: string): boolean =>
  ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY'].includes(protocol);

/** A cluster, or several by weight. */
export type Target = string | readonly { readonly name: string; readonly weight: number }[];

const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';

export function tcpChain(
  to: Target,
  direction: 'inbound' | 'outbound' | 'gateway',
  { mesh }: Scope,
  match?: Json,
  idleTimeoutMs?: number,
): Json {
  return compact({
    filter_chain_match: match,
    filters: [
      {
        name: 'envoy.filters.network.tcp_proxy',
        typed_config: any(
          TCP_PROXY,
          compact({
            stat_prefix: typeof to === 'string' ? to : (to[0]?.name ?? 'none'),
            ...(typeof to === 'string'
              ? { cluster: to }
              : { weighted_clusters: { clusters: to.map((one) => ({ ...one })) } }),
            idle_timeout: idleTimeoutMs === undefined ? undefined : seconds(idleTimeoutMs),
            access_log: accessLogs('Tcp', direction, mesh.settings),
          }),
        ),
      },
    ],
  });
}

/** The clusters of a tcp or tls route. */
export function targets(
  route: readonly { readonly destination: Parameters<typeof clusterOf>[0]; readonly weight?: number | undefined }[],
  namespace: string,
  context: RouteContext,
): Target {
  const weighted = route.length > 1 ? route.filter(({ weight = 0 }) => weight > 0) : route;
  const [only] = weighted;
  if (weighted.length === 1 && only !== undefined) return clusterOf(only.destination, namespace, context);
  return weighted.map(({ destination, weight = 0 }) => ({ name: clusterOf(destination, namespace, context), weight }));
}

/**
 * Under the rules of Istio 1.0, what Envoy sends to a port of its own pod comes back to it, and would go round. Such a connection has the
 * address of its destination as its source, and is closed.
 */
export const refuseOwn = (scope: Scope): Json =>
  tcpChain(BLACK_HOLE, 'outbound', scope, { source_type: 'SAME_IP_OR_LOOPBACK' });

/** Connections that nobody redirected would go round, too. */
export const refusePort = (port: number, direction: 'inbound' | 'outbound', scope: Scope): Json =>
  tcpChain(BLACK_HOLE, direction, scope, { destination_port: port });
