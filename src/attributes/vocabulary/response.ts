/** `response.*`: the response; in the access log only. */
import { DURATION, INT, listOf, STRING, STRING_MAP, TIMESTAMP } from '../types.ts';
import { row } from './row.ts';

export const RESPONSE = [
  row(
    'response.code',
    INT,
    'The HTTP status; 0 if no response was sent.',
    { log: 'response.response_code' },
    { always: true },
  ),
  row('response.code_details', STRING, "Envoy's reason for the status.", {
    log: 'response.response_code_details',
  }),
  row(
    'response.flags',
    listOf(STRING),
    "Envoy's short names of errors, such as UH or UAEX; empty if there were none.",
    { log: 'common_properties.response_flags', 'tcp-log': 'common_properties.response_flags' },
    { always: true },
  ),
  row(
    'response.headers',
    STRING_MAP,
    'The response headers that Envoy is configured to log.',
    { log: 'response.response_headers' },
    { always: true },
  ),
  row(
    'response.trailers',
    STRING_MAP,
    'The response trailers that Envoy is configured to log.',
    { log: 'response.response_trailers' },
    { always: true },
  ),
  row('response.size', INT, 'Bytes of the body.', { log: 'response.response_body_bytes' }, { always: true }),
  row(
    'response.headers_bytes',
    INT,
    'Bytes of the headers.',
    { log: 'response.response_headers_bytes' },
    { always: true },
  ),
  row(
    'response.total_size',
    INT,
    'Bytes of headers and body.',
    { log: 'response.response_headers_bytes + response_body_bytes' },
    { always: true },
  ),
  row(
    'response.duration',
    DURATION,
    'From the first byte of the request to the last byte of the response; absent if the entry has no times.',
    { log: 'common_properties.duration, else the last of its time_to_ fields' },
    { always: true },
  ),
  row(
    'response.time',
    TIMESTAMP,
    'When the last byte of the response was sent; if the entry has no duration, when the request began.',
    { log: 'common_properties.start_time + duration' },
    { always: true },
  ),
  row('response.backend_latency', DURATION, 'From the first byte sent upstream to the last byte received from there.', {
    log: 'time_to_last_upstream_rx_byte - time_to_first_upstream_tx_byte',
  }),
  row('response.grpc_messages', INT, 'Messages of the gRPC response so far.', {
    log: 'filter_state_objects["envoy.filters.http.grpc_stats"] (grpc_stats with emit_filter_state)',
  }),
  row('response.grpc_status', STRING, 'The grpc-status of the response, if Envoy is configured to log it.', {
    log: 'trailer, else header grpc-status',
  }),
  row('response.grpc_message', STRING, 'The grpc-message of the response, if Envoy is configured to log it.', {
    log: 'trailer, else header grpc-message',
  }),
];
