/**
 * Differences that have a reason: those of what is Istio's own or the same in effect, and those that are meant. A difference that is in no
 * list is a fault of ours, until someone says why it is not.
 */
import type { JsonValue } from '@bufbuild/protobuf';
import type { Difference } from './differences.ts';
import type { ResourceKind } from './resources.ts';

export interface Found extends Difference {
  readonly kind: ResourceKind;
  readonly resource: string;
  /** `pod.namespace` */
  readonly proxy: string;
}

interface Known {
  readonly why: string;
  readonly kind?: ResourceKind;
  readonly path?: RegExp;
  readonly resource?: RegExp;
  /** Absent: any value. */
  readonly theirs?: (value: JsonValue | undefined) => boolean;
  readonly ours?: (value: JsonValue | undefined) => boolean;
}

const isAbsent = (value: JsonValue | undefined): boolean => value === undefined;
const isEmpty = (value: JsonValue | undefined): boolean =>
  value === undefined || JSON.stringify(value) === '{}' || value === '';
const is =
  (...values: readonly JsonValue[]) =>
  (value: JsonValue | undefined): boolean =>
    values.some((one) => JSON.stringify(one) === JSON.stringify(value));
const has =
  (pattern: RegExp) =>
  (value: JsonValue | undefined): boolean =>
    value !== undefined && pattern.test(JSON.stringify(value));

/** What Istio has for telemetry, tracing and dumps of its own. */
const ITS_OWN: readonly Known[] = [
  { why: 'names of statistics', path: /(^|\.)(alt_stat_name|stat_prefix)$/ },
  { why: 'what dumps and telemetry of Istio read', path: /(^|\.)metadata(\.filter_metadata(\.(istio|sluice)\b.*)?)?$/ },
  { why: 'statistics of gRPC', path: /http_filters\[envoy\.filters\.http\.grpc_stats\]$/ },
  { why: 'tracing', path: /\.(tracing|request_id_extension|trace_sampled)$/ },
  { why: 'names of spans', path: /\.decorator(\.operation)?$/ },
  {
    why: 'names of chains and routes, for logs',
    path: /(filter_chain|filter_chains\[[^\]]*\]*[^\]]*\]|routes\[\d+\])\.name$/,
  },
  { why: 'who serves, in a header', path: /\.server_name$/ },
];

/** The same in effect. */
const SAME: readonly Known[] = [
  { why: 'a deadline of gRPC counts', path: /\.max_grpc_timeout$/, theirs: is('0s'), ours: isAbsent },
  {
    why: 'a deadline of gRPC counts',
    path: /\.max_stream_duration$/,
    theirs: isAbsent,
    ours: is({ max_stream_duration: '0s', grpc_timeout_header_max: '0s' }),
  },
  { why: "Envoy's default", path: /\.case_sensitive$/, theirs: is(true), ours: isAbsent },
  { why: "Envoy's default", path: /load_balancing_weight$/, theirs: is(1), ours: isAbsent },
  { why: "Envoy's default", path: /\.health_status$/, theirs: is('HEALTHY'), ours: isAbsent },
  { why: "Envoy's default", path: /\.path_with_escaped_slashes_action$/, theirs: is('KEEP_UNCHANGED'), ours: isAbsent },
  {
    why: "Envoy's default: HTTP/1.1",
    path: /^typed_extension_protocol_options$/,
    theirs: isAbsent,
    ours: has(/"explicit_http_config":\{"http_protocol_options":\{\}\},"@type"/),
  },
  {
    why: "Envoy's default",
    path: /allow_credentials$|forward_not_matching_preflights$/,
    ours: isAbsent,
    theirs: is(true, false),
  },
  {
    why: "Envoy's default: all",
    path: /\.filter_enabled$/,
    theirs: is({ default_value: { numerator: 100 } }),
    ours: isAbsent,
  },
  { why: 'an empty message', theirs: isEmpty, ours: isEmpty },
  { why: 'a locality without a weighted balancer', path: /endpoints\[\d+\]\.load_balancing_weight$/, ours: isAbsent },
  { why: 'percent or millionths', path: /\.(numerator|denominator)$/ },
  { why: 'gauges of remaining capacity', path: /track_remaining$/ },
  { why: 'typed names of certificates: URI alone', path: /\.match_(typed_)?subject_alt_names\[/ },
  { why: 'a key in the runtime, which nobody sets', path: /runtime_key$/ },
  {
    why: 'the limit of HTTP/2 in the protocol, or in practice that of the server',
    path: /http2_protocol_options\.max_concurrent_streams$/,
    theirs: isAbsent,
  },
  { why: 'one destination with all the weight', path: /\.route\.weighted_clusters$/, ours: isAbsent },
  { why: 'one destination with all the weight', path: /\.route\.cluster$/, theirs: isAbsent },
  { why: "Envoy's default", path: /tls_minimum_protocol_version$/, theirs: is('TLSv1_2'), ours: isAbsent },
  { why: "Envoy's own ciphers, which are as strong", path: /\.cipher_suites\[/, ours: isAbsent },
  {
    why: 'the port of the service or of the workload in a name',
    path: /\.virtual_hosts\[inbound\|http\|\d+\](\.name)?$/,
  },
  { why: 'the answer 404, as without it', kind: 'routes', path: /^virtual_hosts\[blackhole:\d+\]$/, theirs: isAbsent },
  {
    why: 'nothing is tried twice there',
    kind: 'routes',
    path: /^virtual_hosts\[(allow_any|block_all|blackhole:\d+)\]\.include_request_attempt_count$/,
    ours: isAbsent,
  },
  { why: 'Envoy compares names of headers in lower case', path: /match\.headers\[x-upper\]$/i },
  {
    why: "Envoy's own versions as a server",
    path: /common_tls_context\.tls_params$/,
    theirs: isAbsent,
    ours: is({ tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' }),
  },
  {
    why: 'any origin',
    path: /allow_origin_string_match\[\d+\]\.(exact|safe_regex)$/,
    theirs: (it) => it === '*' || it === undefined,
  },
  { why: 'the order of ports in a predicate', path: /filter_disabled\.or_match\.rules/ },
  {
    why: 'the label that chooses a transport socket, where there is nothing to choose',
    kind: 'endpoints',
    path: /envoy\.transport_socket_match$/,
    theirs: isAbsent,
  },
];

/** docs/mesh.md#differences-from-istio has those that users notice. */
const MEANT: readonly Known[] = [
  {
    why: 'deadlines of gRPC are kept by the client and the server where a rule has a timeout',
    path: /\.max_grpc_timeout$/,
    ours: isAbsent,
  },
  {
    why: 'a service without a workload that takes mutual TLS needs no choice of it',
    path: /^transport_socket_matches\[tlsMode-(istio|disabled)\]$/,
    ours: isAbsent,
  },
  {
    why: "the protocol in TLS tells the server's side, which has no filter for Istio's names",
    path: /alpn_protocols\[http\/1\.1\]$/,
    kind: 'clusters',
    theirs: isAbsent,
  },
  {
    why: 'a port that is no HTTP speaks no protocol of HTTP',
    path: /transport_socket\.typed_config\.common_tls_context\.alpn_protocols\[(h2|http\/1\.1)\]$/,
    kind: 'listeners',
    ours: isAbsent,
  },
  {
    why: 'certificates in files are read by Envoy itself',
    path: /common_tls_context\.(tls_certificate_sds_secret_configs\[file-cert|tls_certificates\[|validation_context$|combined_validation_context$)/,
    resource: /tls-(simple|mutual|system|revoked)\.|^\S+_(443|444|446|8443)$/,
  },
  {
    why: 'the CA certificates of the operating system are a file that Envoy reads itself',
    path: /common_tls_context\.combined_validation_context$/,
    theirs: has(/file-root:system/),
    ours: isAbsent,
  },
  {
    why: 'the CA certificates of the operating system are a file that Envoy reads itself',
    path: /common_tls_context\.validation_context$/,
    theirs: isAbsent,
    ours: has(/"trusted_ca":\{"filename":"\/etc\/ssl\/certs\/ca-certificates\.crt"\}/),
  },
  {
    why: 'the server name is the host of the rule, not that of the call',
    path: /transport_socket\.typed_config\.sni$/,
    theirs: isAbsent,
  },
  {
    why: 'the server name is the host of the rule, and its certificate must be of that name',
    path: /upstream_http_protocol_options$/,
    ours: isAbsent,
  },
  { why: "Envoy's own resolver", path: /^typed_dns_resolver_config$/, ours: isAbsent },
  {
    why: 'connections to hosts that the mesh does not know rest as long as others',
    resource: /Passthrough/,
    path: /common_http_protocol_options$/,
    theirs: is({ idle_timeout: '300s' }),
  },
  {
    why: 'connections to the application are cleaned up as others',
    kind: 'clusters',
    path: /^cleanup_interval$/,
    ours: isAbsent,
  },
  {
    why: 'for rules of Istio 1.0 (docs/decisions/0061)',
    kind: 'clusters',
    resource: /^inbound\|/,
    path: /^$/,
    theirs: isAbsent,
  },
  {
    why: 'for rules of Istio 1.0 (docs/decisions/0061)',
    kind: 'listeners',
    resource: /^10\.244\./,
    path: /^$/,
    theirs: isAbsent,
  },
  {
    why: 'for rules of Istio 1.0 (docs/decisions/0061)',
    kind: 'listeners',
    path: /^filter_chains\[source_type=SAME_IP_OR_LOOPBACK\]$/,
    theirs: isAbsent,
  },
  {
    why: 'nothing is detected, so nothing waits but for the first octets of TLS',
    kind: 'listeners',
    path: /^(listener_filters_timeout|continue_on_listener_filters_timeout)$/,
  },
  {
    why: 'a handshake is limited where clients are strangers, at gateways',
    path: /transport_socket_connect_timeout$/,
    ours: isAbsent,
  },
  {
    why: 'how a listener reads and accepts: as Envoy does by itself',
    path: /(initial_read_buffer_size|max_connections_to_accept_per_socket_event)$/,
    ours: isAbsent,
  },
  { why: 'a peer is known by its certificate alone', path: /forward_client_cert_details$/ },
  {
    why: 'no certificate of a client in a header, which is large',
    path: /set_current_client_cert_details\.cert$/,
    ours: isAbsent,
  },
  { why: 'policies of paths cannot be passed by', path: /\.(path_with_escaped_slashes_action|merge_slashes)$/ },
  { why: 'clients of HTTP/1.0 are served', path: /http_protocol_options(\.accept_http_10)?$/, kind: 'listeners' },
  {
    why: 'a service is not served on port 80 if it has no such port; the cluster would not exist',
    kind: 'routes',
    resource: /^80$/,
    path: /^virtual_hosts\[[a-z0-9.-]+\.svc\.cluster\.local:80\]$/,
    ours: isAbsent,
  },
  {
    why: 'a call or copy goes to the only port of its service; the cluster of another would not exist',
    kind: 'routes',
    path: /\.route\.(request_mirror_policies\[\d+\]\.)?cluster$/,
    theirs: has(
      /outbound\|(8000\|\|reviews|80\|\|(details|hash-header))\.default|outbound\|80\|\|vs-\w+\.far|\|\|one\.example/,
    ),
  },
  {
    why: 'nothing is detected, so all TLS of the mesh to a port of no service is one chain',
    kind: 'listeners',
    resource: /^virtualInbound$/,
    path: /^filter_chains\[application_protocols=\[[^\]]*\] transport_protocol=tls\]$/,
  },
  {
    why: 'nothing is detected',
    kind: 'listeners',
    resource: /^virtualInbound$/,
    path: /^filter_chains\[application_protocols=\["h2c","http\/1.1"\]/,
    ours: isAbsent,
  },
  {
    why: "mode DISABLE passes TLS of the application's own",
    kind: 'listeners',
    resource: /^virtualInbound$/,
    path: /^filter_chains\[(destination_port=(8085|9080))?( ?transport_protocol=raw_buffer)?\]$/,
  },
  {
    why: 'a range of clients (sourceSubnet) holds for these alone; istiod reads the field and routes all clients so',
    kind: 'listeners',
    path: /^filter_chains\[source_prefix_ranges=/,
    theirs: isAbsent,
  },
  {
    why: 'a range of clients (sourceSubnet) holds for these alone; istiod reads the field and routes all clients so',
    kind: 'listeners',
    path: /^filter_chains\[\]\.filters\[envoy\.filters\.network\.tcp_proxy\]\.typed_config\.cluster$/,
    ours: is('outbound|9000||sourced.default.svc.cluster.local'),
  },
  {
    why: 'no secret is named that the proxy does not get, so one that is named may be waited for',
    kind: 'clusters',
    path: /secret_configs?(\[kubernetes:\/\/[^\]]+\])?\.sds_config\.initial_fetch_timeout$/,
    theirs: isAbsent,
    ours: is('0s'),
  },
  {
    why: 'the same fixed clusters for all proxies',
    kind: 'clusters',
    resource: /^PassthroughCluster$/,
    path: /^$/,
    theirs: isAbsent,
  },
];

const ELSEWHERE: readonly Known[] = [
  {
    why: 'a gateway verifies tokens for routes by their claims; Sluice, which gets them, refuses those that are not valid',
    kind: 'listeners',
    path: /http_filters\[envoy\.filters\.http\.jwt_authn\]\.typed_config\.(providers\.[^.]+\.forward|rules\[0\]\.requires\..*)$/,
  },
  {
    why: 'a destination without a port hashes as its only port does; istiod reads settings of a port where the rule names it',
    kind: 'routes',
    path: /^virtual_hosts\[odd-subset\.\S+\]\.routes\[3\]\.route\.hash_policy\[0\]\.header\.header_name$/,
  },
];

/** Of rules that istiod takes and Envoy refuses, or that it reads as another value than was written. */
const MISREAD: readonly Known[] = [
  {
    why: 'consecutiveErrors, of Istio 1.0, is read; istiod leaves it out',
    kind: 'clusters',
    resource: /odd-outlier-old/,
    path: /^outlier_detection\./,
    theirs: isAbsent,
  },
  {
    why: 'the pattern * of a path is any path; Envoy refuses it as an expression',
    path: /\.match\.(safe_regex|prefix)$/,
    theirs: (it) => it === undefined || JSON.stringify(it) === '{"regex":"*"}',
    ours: (it) => it === undefined || it === '/',
  },
  { why: 'a status of gRPC by its number; istiod takes names alone', path: /abort\.grpc_status$/, theirs: is(0) },
  {
    why: 'connections of MongoDB are those of TCP',
    path: /filters\[envoy\.filters\.network\.mongo_proxy\]$/,
    ours: isAbsent,
  },
  {
    why: 'a host that a Gateway names with a namespace redirects, too; istiod takes the namespace for a part of its name',
    kind: 'routes',
    path: /^virtual_hosts\[(shop\/\S+|\*\.shop\.example\.com):80\]$/,
  },
];

export interface Reason {
  readonly why: string;
  /** Calls go and are answered as with istiod. */
  readonly isSame: boolean;
}

export function reasonFor(found: Found): Reason | undefined {
  const same = find([...ITS_OWN, ...SAME], found);
  const one = same ?? find([...MEANT, ...ELSEWHERE, ...MISREAD], found);
  return one === undefined ? undefined : { why: one.why, isSame: same !== undefined };
}

const find = (all: readonly Known[], found: Found): Known | undefined =>
  all.find(
    ({ kind, path, resource, theirs, ours }) =>
      (kind === undefined || kind === found.kind) &&
      (path === undefined || path.test(found.path)) &&
      (resource === undefined || resource.test(found.resource)) &&
      (theirs === undefined || theirs(found.theirs)) &&
      (ours === undefined || ours(found.ours)),
  );
