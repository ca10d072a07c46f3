/** Differences in what is Istio's own, and in what is the same in effect. */
import { has, is, isAbsent, isEmpty, type Known } from './known-form.ts';

/** What Istio has for telemetry, tracing and dumps of its own. */
export const ITS_OWN: readonly Known[] = [
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
export const SAME: readonly Known[] = [
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
