/**
 * The parts of a bootstrap, or of a dump of /config_dump, that matter to Sluice.
 * **In**: the root of the document. **Out**: connection managers, TCP proxies, clusters. **Fails**: never; unknown parts are skipped.
 */
import { EXT_AUTHZ } from '../filters.ts';
import { View } from './view.ts';

export interface HttpChain {
  readonly manager: View;
  readonly filters: readonly View[];
  /** `undefined`: fetched by RDS, and not in the dump. */
  readonly routes: View | undefined;
}

export interface TcpChain {
  readonly filters: readonly View[];
  readonly proxy: View;
}

export interface Configuration {
  readonly root: View;
  readonly http: readonly HttpChain[];
  readonly tcp: readonly TcpChain[];
  /** By name; empty if the document has none. */
  readonly clusters: ReadonlyMap<string, View>;
  readonly statsSinks: readonly View[];
}

export function configurationOf(root: View): Configuration {
  const dumped = root.items('configs');
  const bootstrap = dumped.map((one) => one.at('bootstrap')).find((one) => one !== undefined) ?? root;
  const resources = bootstrap.at('static_resources');
  const listeners = [
    ...(resources?.items('listeners') ?? []),
    ...dumped.flatMap((one) => [
      ...one.items('static_listeners').flatMap((item) => item.at('listener') ?? []),
      ...one.items('dynamic_listeners').flatMap((item) => item.at('active_state', 'listener') ?? []),
    ]),
  ];
  const clusters = [
    ...(resources?.items('clusters') ?? []),
    ...dumped.flatMap((one) =>
      ['static_clusters', 'dynamic_active_clusters'].flatMap((list) =>
        one.items(list).flatMap((item) => item.at('cluster') ?? []),
      ),
    ),
  ];
  const routes = dumped.flatMap((one) =>
    ['static_route_configs', 'dynamic_route_configs'].flatMap((list) =>
      one.items(list).flatMap((item) => item.at('route_config') ?? []),
    ),
  );
  const routesByName = new Map(routes.map((one) => [one.text('name') ?? '', one]));
  const chains = uniqueBy(listeners, (listener) => listener.text('name') ?? String(listener.place.start)).flatMap(
    (listener) =>
      [
        ...listener.items('filter_chains'),
        ...[listener.at('default_filter_chain')].filter((chain) => chain !== undefined),
      ].map((chain) => chain.items('filters')),
  );
  return {
    root: bootstrap,
    http: chains.flatMap((filters) =>
      filters
        .filter((filter) => filter.isOfType('.HttpConnectionManager'))
        .map(({ config }) => ({
          manager: config,
          filters: config.items('http_filters'),
          routes: config.at('route_config') ?? routesByName.get(config.text('rds', 'route_config_name') ?? ''),
        })),
    ),
    tcp: chains.flatMap((filters) =>
      filters.filter((filter) => filter.isOfType('.TcpProxy')).map(({ config }) => ({ filters, proxy: config })),
    ),
    clusters: new Map(clusters.map((cluster) => [cluster.text('name') ?? '', cluster])),
    statsSinks: bootstrap.items('stats_sinks'),
  };
}

/** A dump has static listeners twice: in the bootstrap and by themselves. */
function uniqueBy<T>(items: readonly T[], keyOf: (item: T) => string): readonly T[] {
  return [...new Map(items.map((item) => [keyOf(item), item])).values()];
}

/** Virtual hosts and their routes. */
export function routeScopes(routes: View | undefined): readonly View[] {
  return (routes?.items('virtual_hosts') ?? []).flatMap((host) => [host, ...host.items('routes')]);
}

/** By which routes configure an ext_authz filter. */
export const filterName = (filter: View): string => filter.text('name') ?? EXT_AUTHZ;

/** Settings of a filter for virtual hosts, routes and weighted clusters. */
export function perRoute(routes: View | undefined, filter: string): readonly View[] {
  const weighted = routeScopes(routes).flatMap((scope) => scope.items('route', 'weighted_clusters', 'clusters'));
  return [...(routes === undefined ? [] : [routes]), ...routeScopes(routes), ...weighted].flatMap((scope) => {
    const found = scope.entries('typed_per_filter_config').find(([name]) => name === filter)?.[1];
    return found === undefined ? [] : [found];
  });
}

/** The cluster that a filter or logger sends to; `undefined` for Google's gRPC client. */
export const clusterOf = (service: View | undefined): string | undefined => service?.text('envoy_grpc', 'cluster_name');
