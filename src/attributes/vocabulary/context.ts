/** `context.*`: the proxy that sends the call, and its connection to the upstream (`context.upstream.*`: Envoy's `upstream.*`). */
import { phaseOfEntry, protocolOfHeaders } from '../derive.ts';
import { DURATION, DYN, INT, IP, mapOf, STRING, TIMESTAMP } from '../types.ts';
import { onLogs, row } from './row.ts';

const NODE = (field: string) => ({
  ...onLogs(`identifier.node.${field}`),
  'envoy-metric': `identifier.node.${field}`,
});
const COMMON = (field: string) => onLogs(`common_properties.${field}`);

export const CONTEXT = [
  row(
    'context.protocol',
    STRING,
    'http, grpc (by content-type) or tcp.',
    {
      http: 'header content-type',
      tcp: 'the call itself',
      log: 'request header content-type, if Envoy is configured to log it',
      'tcp-log': 'the entry itself',
    },
    { always: true, derive: protocolOfHeaders },
  ),
  row(
    'context.time',
    TIMESTAMP,
    'For checks and limits, when Sluice received the call; for access logs, when the request or connection ended.',
    {
      http: 'the clock of Sluice',
      tcp: 'the clock of Sluice',
      authzen: 'the clock of Sluice',
      limit: 'the clock of Sluice',
      ...COMMON('start_time + duration'),
      'otlp-log': 'log_record.time_unix_nano, else observed_time_unix_nano, else the clock of Sluice',
      'envoy-metric': 'envoy_metrics[].metric[].timestamp_ms, else the clock of Sluice',
    },
    { always: true },
  ),
  row(
    'context.reporter.kind',
    STRING,
    'inbound for a proxy in front of the destination, outbound for a proxy of the client.',
    onLogs("direction in Istio's upstream_cluster, else the word in identifier.log_name"),
    { extension: true },
  ),
  row('context.reporter.uid', STRING, 'The id of the proxy.', NODE('id'), { extension: true }),
  row(
    'context.proxy_version',
    STRING,
    'The version of the proxy.',
    NODE('user_agent_version or user_agent_build_version'),
    { extension: true },
  ),
  row(
    'context.proxy_error_code',
    STRING,
    "Envoy's response flags, joined by a comma; - if there are none.",
    COMMON('response_flags'),
    { always: true },
  ),
  row(
    'context.auth_failure_reason',
    STRING,
    'The reason of a denial by ext_authz (flag UAEX).',
    COMMON('response_flags.unauthorized_details.reason'),
  ),
  row('context.log_name', STRING, 'The configured name of the access log.', onLogs('identifier.log_name')),
  row(
    'context.log_type',
    STRING,
    "The kind of log entry in Envoy's words, such as DownstreamEnd.",
    COMMON('access_log_type'),
  ),
  row(
    'context.log_phase',
    STRING,
    'What an entry tells: start, established, periodic, end; try: the end of one try of the request at an upstream, of which ' +
      'a request has several where Envoy retries.',
    COMMON('access_log_type, else intermediate_log_entry'),
    { always: true, derive: phaseOfEntry },
  ),
  row('context.node.id', STRING, 'The id of the proxy.', NODE('id')),
  row('context.node.cluster', STRING, 'The cluster of the proxy.', NODE('cluster')),
  row('context.node.region', STRING, 'Where the proxy runs.', NODE('locality.region')),
  row('context.node.zone', STRING, 'Where the proxy runs.', NODE('locality.zone')),
  row('context.node.sub_zone', STRING, 'Where the proxy runs.', NODE('locality.sub_zone')),
  row('context.node.metadata', mapOf(STRING, DYN), 'The node metadata of the proxy bootstrap.', NODE('metadata'), {
    always: true,
  }),
  row('context.route_name', STRING, "The name of the route in Envoy's configuration.", COMMON('route_name'), {
    extension: true,
  }),
  row(
    'context.route_metadata',
    mapOf(STRING, DYN),
    'Metadata of the route by namespace, as far as the filter is configured to send it.',
    { http: 'route_metadata_context' },
    { always: true },
  ),
  row('context.stream_id', STRING, "Envoy's own number of the request.", {
    http: 'request.http.id',
    ...COMMON('stream_id'),
  }),
  row(
    'context.upstream.cluster',
    STRING,
    "The name of the cluster in Envoy's configuration.",
    COMMON('upstream_cluster'),
  ),
  row('context.upstream.ip', IP, 'The address that Envoy connected to.', COMMON('upstream_remote_address')),
  row('context.upstream.port', INT, 'The port that Envoy connected to.', COMMON('upstream_remote_address')),
  row('context.upstream.local_ip', IP, 'The address that Envoy connected from.', COMMON('upstream_local_address')),
  row('context.upstream.local_port', INT, 'The port that Envoy connected from.', COMMON('upstream_local_address')),
  row(
    'context.upstream.request_attempt_count',
    INT,
    'How often Envoy tried; 0 if it did not.',
    COMMON('upstream_request_attempt_count'),
    { always: true },
  ),
  row(
    'context.upstream.transport_failure_reason',
    STRING,
    'Why the transport to the upstream failed.',
    COMMON('upstream_transport_failure_reason'),
  ),
  row(
    'context.upstream.received_wire_bytes',
    INT,
    "Bytes that came from the upstream, the protocol's own among them.",
    COMMON('upstream_wire_bytes_received'),
    { always: true },
  ),
  row(
    'context.upstream.sent_wire_bytes',
    INT,
    "Bytes that went to the upstream, the protocol's own among them.",
    COMMON('upstream_wire_bytes_sent'),
    { always: true },
  ),
  row(
    'context.time_to_last_rx_byte',
    DURATION,
    "From the request's first byte to its last byte received.",
    COMMON('time_to_last_rx_byte'),
  ),
  row(
    'context.time_to_first_upstream_tx_byte',
    DURATION,
    "From the request's first byte to the first byte sent upstream.",
    COMMON('time_to_first_upstream_tx_byte'),
  ),
  row(
    'context.time_to_last_upstream_tx_byte',
    DURATION,
    "From the request's first byte to the last byte sent upstream.",
    COMMON('time_to_last_upstream_tx_byte'),
  ),
  row(
    'context.time_to_first_upstream_rx_byte',
    DURATION,
    "From the request's first byte to the first byte received from upstream.",
    COMMON('time_to_first_upstream_rx_byte'),
  ),
  row(
    'context.time_to_last_upstream_rx_byte',
    DURATION,
    "From the request's first byte to the last byte received from upstream.",
    COMMON('time_to_last_upstream_rx_byte'),
  ),
  row(
    'context.time_to_first_downstream_tx_byte',
    DURATION,
    "From the request's first byte to the first byte sent to the client.",
    COMMON('time_to_first_downstream_tx_byte'),
  ),
  row(
    'context.time_to_last_downstream_tx_byte',
    DURATION,
    "From the request's first byte to the last byte sent to the client.",
    COMMON('time_to_last_downstream_tx_byte'),
  ),
];
