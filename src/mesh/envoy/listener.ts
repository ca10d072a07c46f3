/** Parts that listeners of sidecars and of gateways share. */
import { LISTENER } from '../../xds/index.ts';
import type { Scope } from '../resolve/scope.ts';
import { accessLog } from './http-manager.ts';
import { clusterOf, type RouteContext } from './http-routes.ts';
import { made, type Made } from './made.ts';
import { listenerName } from './names.ts';
import { any, compact, type Json, socketAddress } from './parts.ts';

export interface Listening {
  readonly listeners: readonly Made[];
  readonly tables: readonly Made[];
}

export const listener = (address: string, port: number, chains: readonly Json[], extra: Json, origin?: string): Made =>
  made(
    LISTENER,
    { name: listenerName(address, port), address: socketAddress(address, port), filter_chains: [...chains], ...extra },
    origin,
  );

const TLS_INSPECTOR = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector';
/** A chain that matches TLS or a name never matches without it. */
export const INSPECTED: Json = {
  listener_filters: [{ name: 'envoy.filters.listener.tls_inspector', typed_config: any(TLS_INSPECTOR) }],
};

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
): Json {
  const { sluice } = mesh.settings;
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
            access_log: sluice === undefined ? [] : [accessLog('Tcp', sluice, direction)],
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
