/** Differences that are meant. */
import { has, is, isAbsent, type Known } from './known-form.ts';

/** docs/mesh.md#differences-from-istio has those that users notice. */
export const MEANT: readonly Known[] = [
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
