/** The HTTP connection manager of a listener, with the filters that ask Sluice. */
import { RECEIVED_HEADER, RECEIVED_VALUE } from '../../text/received-header.ts';
import type { MeshSettings, SluiceSettings } from '../model/mesh.ts';
import { targetsAt } from '../resolve/inbound-ports.ts';
import type { Scope } from '../resolve/scope.ts';
import { accessLogs } from './access-logs.ts';
import { tokenFilter } from './token-filter.ts';
import { any, compact, FROM_ADS, type Json, seconds } from './parts.ts';

const MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const FILTERS = 'envoy.extensions.filters.http';

export interface ManagerOptions {
  readonly statPrefix: string;
  readonly routes: { readonly table: string } | { readonly inline: Json };
  readonly direction: 'inbound' | 'outbound' | 'gateway';
  /** Calls of gRPC from browsers, which a service takes as any others. */
  readonly isGrpcWeb?: boolean;
  readonly scope: Scope;
}

export function httpManager({ statPrefix, routes, direction, isGrpcWeb = false, scope }: ManagerOptions): Json {
  const { settings } = scope.mesh;
  const { sluice, pathNormalization } = settings;
  const isServer = direction !== 'outbound';
  const tokens = direction === 'gateway' ? tokenFilter(scope) : undefined;
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: any(
      MANAGER,
      compact({
        stat_prefix: statPrefix,
        ...('table' in routes
          ? { rds: { config_source: FROM_ADS, route_config_name: routes.table } }
          : { route_config: routes.inline }),
        http_filters: [
          ...(tokens === undefined ? [] : [tokens]),
          ...(isServer && sluice !== undefined ? askFilters(sluice) : []),
          ...(isGrpcWeb ? [filter('grpc_web', `${FILTERS}.grpc_web.v3.GrpcWeb`)] : []),
          filter('cors', `${FILTERS}.cors.v3.Cors`),
          filter('fault', `${FILTERS}.fault.v3.HTTPFault`),
          filter('router', `${FILTERS}.router.v3.Router`),
        ],
        access_log: accessLogs('Http', direction, settings),
        use_remote_address: direction === 'gateway',
        ...(isServer ? CERTIFICATE_OF_PEER : {}),
        http_protocol_options: { accept_http_10: true },
        proxy_100_continue: true, // the application says whether it wants the body, after the check
        stream_idle_timeout: seconds(0),
        upgrade_configs: [{ upgrade_type: 'websocket' }],
        ...pathChanges(pathNormalization ?? (isServer ? 'DECODE_AND_MERGE_SLASHES' : 'BASE')),
        server_name: 'envoy',
      }),
    ),
  };
}

/** The header that tells the application who calls: only what this proxy has verified, whatever the client sent. */
const CERTIFICATE_OF_PEER: Json = {
  forward_client_cert_details: 'SANITIZE_SET',
  set_current_client_cert_details: { subject: true, dns: true, uri: true },
};

const pathChanges = (how: NonNullable<MeshSettings['pathNormalization']>): Json =>
  compact({
    normalize_path: how !== 'NONE',
    merge_slashes: how.endsWith('MERGE_SLASHES') ? true : undefined,
    path_with_escaped_slashes_action: how === 'DECODE_AND_MERGE_SLASHES' ? 'UNESCAPE_AND_FORWARD' : undefined,
  });

const filter = (name: string, type: string, fields: Json = {}): Json => ({
  name: `envoy.filters.http.${name}`,
  typed_config: any(type, fields),
});

export const sluiceService = ({ cluster }: SluiceSettings, timeoutMs: number): Json => ({
  envoy_grpc: { cluster_name: cluster },
  timeout: seconds(timeoutMs),
});

function askFilters(sluice: SluiceSettings): Json[] {
  return [
    filter('ext_authz', `${FILTERS}.ext_authz.v3.ExtAuthz`, {
      grpc_service: {
        ...sluiceService(sluice, sluice.checkTimeoutMs),
        initial_metadata: [{ key: RECEIVED_HEADER, value: RECEIVED_VALUE }],
      },
      transport_api_version: 'V3',
      failure_mode_allow: sluice.failOpen,
      status_on_error: { code: 'ServiceUnavailable' },
      include_peer_certificate: true,
      include_tls_session: true,
    }),
    filter('ratelimit', `${FILTERS}.ratelimit.v3.RateLimit`, {
      domain: sluice.limitDomain,
      timeout: seconds(sluice.limitTimeoutMs),
      failure_mode_deny: !sluice.failOpen,
      status_on_error: { code: 'ServiceUnavailable' },
      rate_limit_service: { grpc_service: sluiceService(sluice, sluice.limitTimeoutMs), transport_api_version: 'V3' },
    }),
  ];
}

/** What Envoy does not know of a call: the workload that serves it, and the service by which it is called. */
export function callFacts({ mesh, member }: Scope, port: number): Readonly<Record<string, string>> {
  const { namespace, labels, name, serviceAccount, address } = member;
  const workload = name.slice(0, Math.max(0, name.lastIndexOf('.')));
  const facts: Record<string, string> = {
    'destination.namespace': namespace,
    'destination.serviceAccount': serviceAccount,
    'destination.workload.name': workload,
    'destination.workload.namespace': namespace,
  };
  if (labels.size > 0)
    facts['destination.labels'] = [...labels]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([label, value]) => `${label}=${value}`)
      .join(',');
  const service = targetsAt(mesh, address).find(({ number }) => number === port)?.service;
  if (service !== undefined) {
    facts['destination.service.host'] = service.host;
    facts['destination.service.name'] = service.host.split('.')[0] ?? service.host;
    facts['destination.service.namespace'] = service.namespace;
  }
  return facts;
}

/** What a virtual host of a server tells Sluice with each call. */
export function askedWith(scope: Scope, port: number): Json {
  const { sluice, identities } = scope.mesh.settings;
  if (sluice === undefined) return {};
  const facts = callFacts(scope, port);
  return {
    typed_per_filter_config: checkFacts(facts),
    rate_limits: limitActions(facts, identities === undefined ? [] : [PEER]),
  };
}

const PER_ROUTE = `${FILTERS}.ext_authz.v3.ExtAuthzPerRoute`;

const checkFacts = (facts: Readonly<Record<string, string>>): Json => ({
  'envoy.filters.http.ext_authz': any(PER_ROUTE, { check_settings: { context_extensions: facts } }),
});

/** Who calls, by its certificate; absent from calls in cleartext. */
const PEER_URI = 'connection.uri_san_peer_certificate';
const PEER: Json = {
  extension: {
    name: 'envoy.rate_limit_descriptors.expr',
    typed_config: any('envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor', {
      descriptor_key: PEER_URI,
      skip_if_error: true,
      text: PEER_URI,
    }),
  },
};

/** One descriptor for each call, of which rules name the entries that they limit by; what a call lacks is left out. */
const limitActions = (facts: Readonly<Record<string, string>>, others: readonly Json[]): Json[] => [
  {
    actions: [
      ...['destination.service.host', 'destination.workload.name'].flatMap((key) => {
        const value = facts[key];
        return value === undefined ? [] : [{ generic_key: { descriptor_key: key, descriptor_value: value } }];
      }),
      ...[
        ['request.method', ':method'],
        ['request.path', ':path'],
        ['request.host', ':authority'],
      ].map(([key = '', header = '']) => ({
        request_headers: { header_name: header, descriptor_key: key, skip_if_absent: true },
      })),
      { remote_address: {} },
      ...others,
    ],
  },
];
