/**
 * Istio's objects for a policy: mesh configuration, AuthorizationPolicy, Telemetry, and an EnvoyFilter for what these cannot say.
 * **In**: needs and options. **Out**: YAML documents. **Fails**: never.
 */
import { httpAccessLog, loggedHeaders, tcpAccessLog } from './access-logs.ts';
import { filtersAfterCheck, virtualHost } from './bootstrap.ts';
import { asComment, noted, plainOf, valueOf, yamlText } from './commented-yaml.ts';
import { bodyBytesOf, EXT_AUTHZ, httpCheckFilter, namedList, receivedMetadata, type } from './filters.ts';
import type { Needs } from './needs.ts';
import {
  because,
  checkTimeout,
  type EnvoyOptions,
  type PolicyParts,
  partsOfPolicy,
  rulesText,
  unknown,
} from './options.ts';
import { connectionContext, NETWORK_EXT_AUTHZ, tcpCheckFilter } from './tcp-check-filter.ts';
import { otlpAttributes } from './otlp-attributes.ts';

const PROVIDER = 'sluice';
const LOG_PROVIDER = 'sluice-http-log';
const TCP_LOG_PROVIDER = 'sluice-tcp-log';
/** Objects in the root namespace apply to all namespaces. */
const METADATA = { name: 'sluice', namespace: 'istio-system' };

const HEAD = [
  'Written by `sluice envoy --istio`. Comments name the rules that need a part; docs/envoy.md and docs/istio.md explain it.',
  unknown('for which workloads this is; in istio-system it is for all. Choose a namespace, and add a selector.'),
].join('\n');

export function istioObjects(needs: Needs, given: EnvoyOptions): string {
  const options = { ...given, cluster: `outbound|${given.port}||${given.host}` };
  const parts = partsOfPolicy(needs, options);
  const documents = [
    meshConfig(needs, options, parts),
    parts.http || parts.tcp ? authorizationPolicy(needs) : undefined,
    telemetry(needs, parts),
    envoyFilter(needs, options, parts),
  ].filter((document) => document !== undefined);
  const notes = parts.metrics
    ? `${asComment(`${rulesText(needs.why('metrics'))}: Envoy's statistics need a stats_sinks entry in the bootstrap (docs/metrics.md).`)}\n`
    : '';
  return `${asComment(HEAD)}\n${notes}\n${documents.map((document) => yamlText(document)).join('---\n')}`;
}

function meshConfig(needs: Needs, options: EnvoyOptions, parts: PolicyParts): object {
  const { settings } = needs;
  const { host: service, port } = options;
  const isChecked = parts.http || parts.tcp;
  const providers = [
    isChecked
      ? {
          name: PROVIDER,
          envoyExtAuthzGrpc: {
            service,
            port,
            timeout: checkTimeout(options),
            failOpen: options.failOpen ?? false,
            statusOnError: options.failOpen === true ? undefined : '503',
            includeRequestBodyInCheck: needs.has('http body')
              ? noted(
                  { maxRequestBytes: bodyBytesOf(needs), packAsBytes: true },
                  rulesText(needs.why('http body')),
                  unknown('how long bodies are; longer ones are answered 413.'),
                )
              : undefined,
          },
        }
      : undefined,
    hasLogProvider(needs, parts, 'log') ? logProvider(needs, options, 'log') : undefined,
    hasLogProvider(needs, parts, 'tcp-log') ? logProvider(needs, options, 'tcp-log') : undefined,
  ].filter((provider) => provider !== undefined);
  return {
    meshConfig: noted(
      {
        extensionProviders: providers.length === 0 ? undefined : providers,
        pathNormalization:
          needs.has('path') || needs.has('plain-path')
            ? noted({ normalization: settings.path }, 'settings.path of the policy')
            : undefined,
        defaultConfig:
          settings.trustedHops === undefined
            ? undefined
            : noted(
                { gatewayTopology: { numTrustedProxies: settings.trustedHops } },
                'settings.trustedHops of the policy, for gateways',
              ),
      },
      'in the ConfigMap istio, or under meshConfig of the Helm chart istiod',
    ),
  };
}

/** A provider of Istio has no custom tags, and no nested attributes; the EnvoyFilter then has the whole logger. */
const hasLogProvider = (needs: Needs, parts: PolicyParts, part: 'log' | 'tcp-log'): boolean =>
  (part === 'log' ? parts.log : parts.tcpLog) &&
  needs.anyNames(`${part} custom-tag`).length === 0 &&
  !needs.has(`${part} trace`);

function logProvider(needs: Needs, { host: service, port, isOtlp }: EnvoyOptions, part: 'log' | 'tcp-log'): object {
  const isHttp = part === 'log';
  const name = isHttp ? LOG_PROVIDER : TCP_LOG_PROVIDER;
  const logName = isHttp ? 'http.inbound' : 'tcp.inbound';
  if (isOtlp) return { name, envoyOtelAls: { service, port, logName, logFormat: { labels: otlpLabels(needs, part) } } };
  const { additional_request_headers_to_log, additional_response_headers_to_log, additional_response_trailers_to_log } =
    loggedHeaders(needs);
  const als = { service, port, logName, filterStateObjectsToLog: namedList(needs, `${part} filter-state`) };
  return isHttp
    ? {
        name,
        envoyHttpAls: noted(
          {
            ...als,
            additionalRequestHeadersToLog: additional_request_headers_to_log,
            additionalResponseHeadersToLog: additional_response_headers_to_log,
            additionalResponseTrailersToLog: additional_response_trailers_to_log,
          },
          rulesText(needs.why('log')),
        ),
      }
    : { name, envoyTcpAls: noted(als, because([...needs.why('tcp-log'), ...needs.why('also-tcp-log')])) };
}

/** `labels` of a format are a struct, which becomes nested attributes. */
function otlpLabels(needs: Needs, part: 'log' | 'tcp-log'): object {
  const structOf = (pairs: readonly Pair[]): object =>
    Object.fromEntries(
      pairs.map(({ key, value }) => [key, value.string_value ?? structOf(value.kvlist_value?.values ?? [])]),
    );
  return structOf(plainOf(otlpAttributes(needs, part)) as readonly Pair[]);
}

interface Pair {
  readonly key: string;
  readonly value: { readonly string_value?: string; readonly kvlist_value?: { readonly values: readonly Pair[] } };
}

const authorizationPolicy = (needs: Needs): object => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: METADATA,
  spec: {
    action: 'CUSTOM',
    provider: { name: PROVIDER },
    rules: noted(
      [{}],
      'All requests, and connections to TCP ports: rules that do not answer them let them pass.',
      because(needs.why('http')),
    ),
  },
});

function telemetry(needs: Needs, parts: PolicyParts): object | undefined {
  const names = [
    ...(hasLogProvider(needs, parts, 'log') ? [LOG_PROVIDER] : []),
    ...(hasLogProvider(needs, parts, 'tcp-log') ? [TCP_LOG_PROVIDER] : []),
  ];
  return names.length === 0
    ? undefined
    : {
        apiVersion: 'telemetry.istio.io/v1',
        kind: 'Telemetry',
        metadata: METADATA,
        spec: { accessLogging: [{ providers: names.map((name) => ({ name })) }] },
      };
}

const CONTEXT = 'SIDECAR_INBOUND';
const HCM = 'envoy.filters.network.http_connection_manager';
const HCM_TYPE = type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager');

function envoyFilter(needs: Needs, options: EnvoyOptions, parts: PolicyParts): object | undefined {
  const patches = [
    ...managerPatch(needs, options, parts),
    ...checkPatch(needs, options, parts),
    ...connectionCheckPatch(needs, options, parts),
    ...filterPatches(needs, options),
    ...routePatch(needs, options),
    ...tcpPatch(needs, options, parts),
  ];
  return patches.length === 0
    ? undefined
    : {
        apiVersion: 'networking.istio.io/v1alpha3',
        kind: 'EnvoyFilter',
        metadata: METADATA,
        spec: {
          configPatches: noted(patches, unknown('whether sidecars or gateways ask; for gateways, context is GATEWAY.')),
        },
      };
}

const filterMatch = (subFilter: string): object => ({
  context: CONTEXT,
  listener: {
    filterChain: { filter: { name: HCM, subFilter: { name: subFilter } } },
  },
});

/** Adds settings to a network filter of all listeners. */
const mergedInto = (name: string, typed_config: object): object => ({
  applyTo: 'NETWORK_FILTER',
  match: { context: CONTEXT, listener: { filterChain: { filter: { name } } } },
  patch: { operation: 'MERGE', value: { name, typed_config } },
});

function managerPatch(needs: Needs, options: EnvoyOptions, parts: PolicyParts): readonly object[] {
  const accessLog = parts.log && !hasLogProvider(needs, parts, 'log') ? [httpAccessLog(needs, options)] : undefined;
  const interim = needs.has('log interim')
    ? { flush_access_log_on_new_request: true, access_log_flush_interval: '5s' }
    : undefined;
  if (accessLog === undefined && interim === undefined) return [];
  return [mergedInto(HCM, { ...HCM_TYPE, access_log_options: interim, access_log: accessLog })];
}

/** Settings of the check that a provider cannot have. */
const ONLY_BY_FILTER = [
  'include_peer_certificate',
  'include_tls_session',
  'encode_raw_headers',
  'metadata_context_namespaces',
  'route_metadata_context_namespaces',
  'bootstrap_metadata_labels_key',
];

function settingsOf(filter: unknown): Readonly<Record<string, unknown>> | undefined {
  const { typed_config: config } = valueOf(filter) as { readonly typed_config: Readonly<Record<string, unknown>> };
  const own = Object.entries(config).filter(([name, of]) => ONLY_BY_FILTER.includes(name) && of !== undefined);
  return own.length === 0 ? undefined : Object.fromEntries(own);
}

function checkPatch(needs: Needs, options: EnvoyOptions, { http }: PolicyParts): readonly object[] {
  const config = http ? settingsOf(httpCheckFilter(needs, options)) : undefined;
  const initial_metadata = http ? receivedMetadata(needs) : undefined;
  if (config === undefined && initial_metadata === undefined) return [];
  return [
    {
      applyTo: 'HTTP_FILTER',
      match: filterMatch(EXT_AUTHZ),
      patch: {
        operation: 'MERGE',
        value: {
          name: EXT_AUTHZ,
          typed_config: {
            ...type('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
            ...config,
            grpc_service: initial_metadata === undefined ? undefined : { initial_metadata },
          },
        },
      },
    },
  ];
}

function connectionCheckPatch(needs: Needs, options: EnvoyOptions, { tcp }: PolicyParts): readonly object[] {
  const config = tcp ? settingsOf(tcpCheckFilter(needs, options)) : undefined;
  const initial_metadata = tcp ? connectionContext(needs) : undefined;
  if (config === undefined && initial_metadata === undefined) return [];
  return [
    mergedInto(NETWORK_EXT_AUTHZ, {
      ...type('envoy.extensions.filters.network.ext_authz.v3.ExtAuthz'),
      ...config,
      grpc_service: initial_metadata === undefined ? undefined : { initial_metadata },
    }),
  ];
}

/** The AuthorizationPolicy makes the check. */
function filterPatches(needs: Needs, options: EnvoyOptions): readonly object[] {
  return filtersAfterCheck(needs, options).map((value) => ({
    applyTo: 'HTTP_FILTER',
    match: filterMatch('envoy.filters.http.router'),
    patch: { operation: 'INSERT_BEFORE', value },
  }));
}

function routePatch(needs: Needs, options: EnvoyOptions): readonly object[] {
  const value = virtualHost(needs, options);
  return value === undefined
    ? []
    : [{ applyTo: 'VIRTUAL_HOST', match: { context: CONTEXT }, patch: { operation: 'MERGE', value } }];
}

function tcpPatch(needs: Needs, options: EnvoyOptions, parts: PolicyParts): readonly object[] {
  const interim = needs.has('tcp-log interim')
    ? { flush_access_log_on_start: true, access_log_flush_interval: '5s' }
    : undefined;
  const accessLog =
    parts.tcpLog && !hasLogProvider(needs, parts, 'tcp-log') ? [tcpAccessLog(needs, options)] : undefined;
  if (interim === undefined && accessLog === undefined) return [];
  return [
    mergedInto('envoy.filters.network.tcp_proxy', {
      ...type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
      access_log_options: interim,
      access_log: accessLog,
    }),
  ];
}
