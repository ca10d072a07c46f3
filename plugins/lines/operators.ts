/**
 * Operators of Envoy's access log format that a text template may have: the field of the rule that each reads, and the attribute that
 * belongs in it (envoyproxy.io: Access logging, Command operators).
 */

/** How a value is written: as text, as whole milliseconds, or as a time by a format. */
export type Rendering = 'text' | 'milliseconds' | 'time';

export interface Operator {
  readonly field: string;
  /** An expression for the field, for messages. */
  readonly expression: string;
  readonly rendering: Rendering;
}

const of = (field: string, expression: string, rendering: Rendering = 'text'): Operator => ({
  field,
  expression,
  rendering,
});
const address = (field: string, of_: string): Operator => of(field, `string(${of_}.ip) + ":" + string(${of_}.port)`);

export const OPERATORS: ReadonlyMap<string, Operator> = new Map(
  Object.entries({
    START_TIME: of('start_time', 'request.time', 'time'),
    PROTOCOL: of('protocol', 'request.protocol'),
    RESPONSE_CODE: of('response_code', 'response.code'),
    RESPONSE_CODE_DETAILS: of('response_code_details', 'response.code_details'),
    RESPONSE_FLAGS: of('response_flags', 'context.proxy_error_code'),
    BYTES_RECEIVED: of('bytes_received', 'request.size'),
    BYTES_SENT: of('bytes_sent', 'response.size'),
    DURATION: of('duration', 'response.duration', 'milliseconds'),
    REQUEST_DURATION: of('request_duration', 'context.time_to_last_rx_byte', 'milliseconds'),
    RESPONSE_DURATION: of('response_duration', 'context.time_to_first_upstream_rx_byte', 'milliseconds'),
    UPSTREAM_HOST: address('upstream_host', 'context.upstream'),
    UPSTREAM_CLUSTER: of('upstream_cluster', 'context.upstream.cluster'),
    UPSTREAM_REQUEST_ATTEMPT_COUNT: of('upstream_request_attempt_count', 'context.upstream.request_attempt_count'),
    UPSTREAM_TRANSPORT_FAILURE_REASON: of(
      'upstream_transport_failure_reason',
      'context.upstream.transport_failure_reason',
    ),
    DOWNSTREAM_REMOTE_ADDRESS: address('downstream_remote_address', 'source'),
    DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: of('downstream_remote_ip', 'origin.ip'),
    DOWNSTREAM_LOCAL_ADDRESS: address('downstream_local_address', 'destination'),
    DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: of('downstream_local_ip', 'destination.ip'),
    DOWNSTREAM_TLS_VERSION: of('downstream_tls_version', 'connection.tls_version'),
    DOWNSTREAM_PEER_SUBJECT: of('downstream_peer_subject', 'connection.subject_peer_certificate'),
    DOWNSTREAM_PEER_ISSUER: of('downstream_peer_issuer', 'connection.issuer_peer_certificate'),
    DOWNSTREAM_PEER_URI_SAN: of('downstream_peer_uri_san', 'connection.uri_san_peer_certificate'),
    CONNECTION_TERMINATION_DETAILS: of('connection_termination_details', 'connection.termination_details'),
    REQUESTED_SERVER_NAME: of('requested_server_name', 'connection.requested_server_name'),
    ROUTE_NAME: of('route_name', 'context.route_name'),
    STREAM_ID: of('stream_id', 'context.stream_id'),
    ACCESS_LOG_TYPE: of('access_log_type', 'context.log_type'),
    GRPC_STATUS: of('grpc_status', 'response.grpc_status'),
  }),
);

/** Pseudo headers of `%REQ(...)%`. */
export const PSEUDO_HEADERS: ReadonlyMap<string, Operator> = new Map(
  Object.entries({
    ':method': of('method', 'request.method'),
    ':path': of('path', 'request.path'),
    ':authority': of('authority', 'request.authority'),
    ':scheme': of('scheme', 'request.scheme'),
  }),
);

/** Operators that read a map of headers by name. */
export const HEADER_MAPS: ReadonlyMap<string, Operator> = new Map(
  Object.entries({
    REQ: of('request_headers', 'request.headers'),
    RESP: of('response_headers', 'response.headers'),
    TRAILER: of('response_trailers', 'response.trailers'),
  }),
);
