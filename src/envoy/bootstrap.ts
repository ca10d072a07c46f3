/**
 * Envoy's own configuration for a policy.
 * **In**: needs and options. **Out**: YAML: the parts to put into a configuration, or a whole one that runs. **Fails**: never.
 */
import { httpAccessLog, tcpAccessLog } from './access-logs.ts';
import { noted, plainOf, yamlText } from './commented-yaml.ts';
import {
  connectionManagerSettings,
  contextExtensions,
  grpcService,
  grpcStatsFilter,
  httpCheckFilter,
  limitFilters,
  ROUTER,
  type,
} from './filters.ts';
import { domainsOf, omittedDomains, rateLimits } from './limit-actions.ts';
import type { Policy } from '../core/rules/policy.ts';
import { type Needs, needsOf } from './needs.ts';
import { DEFAULT_OPTIONS, type EnvoyOptions, isIp, partsOfPolicy, rulesText } from './options.ts';
import { tcpCheckFilter } from './tcp-check-filter.ts';

/** Ports of a whole configuration. */
const PORTS = { admin: 9901, http: 10_000, tcp: 10_001, app: 8080 };

/** The parts, in the order in which requests meet them. */
export function envoySnippet(needs: Needs, options: EnvoyOptions): string {
  const parts = partsOfPolicy(needs, options);
  const hasHttp = parts.http || parts.limit || parts.log;
  const connectionManager = hasHttp
    ? {
        ...connectionManagerSettings(needs),
        access_log: parts.log ? [httpAccessLog(needs, options)] : undefined,
        http_filters: httpFilters(needs, options),
      }
    : undefined;
  const tcp = {
    network_filters: parts.tcp
      ? noted([tcpCheckFilter(needs, options)], 'filters of a TCP listener, before tcp_proxy')
      : undefined,
    tcp_proxy: parts.tcpLog
      ? noted(
          { access_log_options: tcpLogOptions(needs), access_log: [tcpAccessLog(needs, options)] },
          'settings of tcp_proxy',
        )
      : undefined,
  };
  return yamlText(
    {
      ...(connectionManager === undefined
        ? {}
        : { http_connection_manager: noted(connectionManager, 'settings of the HTTP connection manager') }),
      virtual_hosts: noted(
        virtualHost(needs, options),
        'for each virtual host; typed_per_filter_config also works for a route',
      ),
      ...tcp,
      stats_sinks: parts.metrics ? statsSinks(needs, options) : undefined,
      clusters: [sluiceCluster(options)],
    },
    head(needs, options),
  );
}

/** Thousands of descriptors take a second to write, in which the server answers nobody. */
const MAX_DESCRIPTORS = 50;

const texts = new WeakMap<Policy, Promise<string>>();

/** For the admin port, once for each policy. The server does not know at which address Envoy reaches it. */
export function envoyText(policy: Policy): Promise<string> {
  const known = texts.get(policy);
  if (known !== undefined) return known;
  const made = needsOf(policy).then((needs) =>
    envoySnippet(needs, { ...DEFAULT_OPTIONS, maxDescriptors: MAX_DESCRIPTORS }),
  );
  texts.set(policy, made);
  return made;
}

/** A configuration that runs, with one HTTP and one TCP listener as needed, and a placeholder for the service. */
export function envoyBootstrap(needs: Needs, options: EnvoyOptions): string {
  return yamlText(bootstrap(needs, options), head(needs, options));
}

/** As Envoy reads it. */
export const plainBootstrap = (needs: Needs, options: EnvoyOptions): object =>
  plainOf(bootstrap(needs, options)) as object;

function bootstrap(needs: Needs, options: EnvoyOptions): unknown {
  const parts = partsOfPolicy(needs, options);
  const hasTcp = parts.tcp || parts.tcpLog;
  return {
    node: {
      id: 'envoy',
      cluster: 'edge',
      ...(needs.has('http labels') ? { metadata: { labels: { app: 'web' } } } : {}),
    },
    admin: { address: address('127.0.0.1', PORTS.admin) },
    stats_sinks: parts.metrics ? statsSinks(needs, options) : undefined,
    static_resources: {
      listeners: [httpListener(needs, options), ...(hasTcp ? [tcpListener(needs, options)] : [])],
      clusters: [noted(appCluster(), 'the service behind Envoy'), sluiceCluster(options)],
    },
  };
}

function head(needs: Needs, options: EnvoyOptions): string {
  const also = [...new Set([...needs.why('also-tcp'), ...needs.why('also-tcp-log')])];
  const omitted = omittedDomains(needs.descriptors);
  const unshown = Math.max(0, needs.descriptors.length - options.maxDescriptors);
  return [
    'Written by `sluice envoy`. Comments name the rules that need a part; docs/envoy.md explains the settings.',
    ...(also.length === 0 || options.withTcp
      ? []
      : [`On TCP listeners ${rulesText(also)} would also apply; --tcp prints filters for them.`]),
    ...(omitted.length === 0
      ? []
      : [`A connection manager asks for at most 11 domains; missing here: ${omitted.join(', ')}.`]),
    ...(unshown === 0 ? [] : [`${unshown} more descriptors are not shown; \`sluice envoy\` prints all.`]),
  ].join('\n');
}

const address = (host: string, port: number): object => ({ socket_address: { address: host, port_value: port } });

function httpFilters(needs: Needs, options: EnvoyOptions): readonly unknown[] {
  const { http } = partsOfPolicy(needs, options);
  return [...(http ? [httpCheckFilter(needs, options)] : []), ...filtersAfterCheck(needs, options), ROUTER];
}

/** All but the check and the router. */
export function filtersAfterCheck(needs: Needs, options: EnvoyOptions): readonly unknown[] {
  const { limit } = partsOfPolicy(needs, options);
  const stats = grpcStatsFilter(needs);
  return [
    ...(stats === undefined ? [] : [stats]),
    ...(limit ? limitFilters(needs, options, domainsOf(needs.descriptors)) : []),
  ];
}

/** What a virtual host or its routes have. */
export function virtualHost(needs: Needs, options: EnvoyOptions): object | undefined {
  const { http, limit } = partsOfPolicy(needs, options);
  const extensions = http ? contextExtensions(needs) : undefined;
  const limits = limit
    ? rateLimits(needs.descriptors.slice(0, options.maxDescriptors), domainsOf(needs.descriptors))
    : undefined;
  return extensions === undefined && limits === undefined
    ? undefined
    : { typed_per_filter_config: extensions, rate_limits: limits };
}

function httpListener(needs: Needs, options: EnvoyOptions): object {
  const { log } = partsOfPolicy(needs, options);
  const config = {
    ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'in',
    ...connectionManagerSettings(needs),
    access_log: log ? [httpAccessLog(needs, options)] : undefined,
    http_filters: httpFilters(needs, options),
    route_config: {
      virtual_hosts: [
        {
          name: 'web',
          domains: ['*'],
          ...virtualHost(needs, options),
          routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }],
        },
      ],
    },
  };
  return {
    name: 'http',
    address: address('127.0.0.1', PORTS.http),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: config }] }],
  };
}

function tcpListener(needs: Needs, options: EnvoyOptions): object {
  const parts = partsOfPolicy(needs, options);
  const proxy = {
    ...type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
    stat_prefix: 'tcp',
    cluster: 'app',
    access_log_options: tcpLogOptions(needs),
    access_log: parts.tcpLog ? [tcpAccessLog(needs, options)] : undefined,
  };
  return {
    name: 'tcp',
    address: address('127.0.0.1', PORTS.tcp),
    filter_chains: [
      {
        filters: [
          ...(parts.tcp ? [tcpCheckFilter(needs, options)] : []),
          { name: 'envoy.filters.network.tcp_proxy', typed_config: proxy },
        ],
      },
    ],
  };
}

const tcpLogOptions = (needs: Needs): unknown =>
  needs.has('tcp-log interim')
    ? noted(
        { flush_access_log_on_start: true, access_log_flush_interval: '5s' },
        rulesText(needs.why('tcp-log interim')),
      )
    : undefined;

const statsSinks = (needs: Needs, options: EnvoyOptions): readonly unknown[] => [
  noted(
    {
      name: 'envoy.stat_sinks.metrics_service',
      typed_config: {
        ...type('envoy.config.metrics.v3.MetricsServiceConfig'),
        transport_api_version: 'V3',
        grpc_service: grpcService(options),
        report_counters_as_deltas: true,
        emit_tags_as_labels: true,
      },
    },
    rulesText(needs.why('metrics')),
  ),
];

const appCluster = (): object => ({
  name: 'app',
  type: 'STATIC',
  load_assignment: endpoint('app', '127.0.0.1', PORTS.app),
});

const endpoint = (cluster: string, host: string, port: number): object => ({
  cluster_name: cluster,
  endpoints: [{ lb_endpoints: [{ endpoint: { address: address(host, port) } }] }],
});

/** gRPC is HTTP/2; a cluster speaks HTTP/1 by default. */
const sluiceCluster = ({ host, port, cluster }: EnvoyOptions): object => ({
  name: cluster,
  type: isIp(host) ? 'STATIC' : 'STRICT_DNS',
  load_assignment: endpoint(cluster, host, port),
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      ...type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
      explicit_http_config: noted({ http2_protocol_options: {} }, 'gRPC is HTTP/2'),
    },
  },
});
