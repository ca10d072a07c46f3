/** `response.*`: the response; in the access log only. */
import { DURATION, INT, listOf, STRING, STRING_MAP, TIMESTAMP } from '../types.ts';
import { row } from './row.ts';

export const RESPONSE = [
  row(
    'response.code',
    INT,
    'The HTTP status; 0 where no response was sent.',
    { log: 'response.response_code' },
    { always: true },
  ),
  row('response.code_details', STRING, "Envoy's words for where the status came from.", {
    log: 'response.response_code_details',
  }),
  row(
    'response.flags',
    listOf(STRING),
    "Envoy's short names of what went wrong, such as UH or UAEX; empty where nothing did.",
    { log: 'common_properties.response_flags', 'tcp-log': 'common_properties.response_flags' },
    { always: true },
  ),
  row(
    'response.headers',
    STRING_MAP,
    'The response headers that Envoy is told to log.',
    { log: 'response.response_headers' },
    { always: true },
  ),
  row(
    'response.trailers',
    STRING_MAP,
    'The response trailers that Envoy is told to log.',
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
    'From the first byte of the request to the last byte of the response; absent from an entry that has no time.',
    { log: 'common_properties.duration, else the last of its time_to_ fields' },
    { always: true },
  ),
  row(
    'response.time',
    TIMESTAMP,
    'When the last byte of the response was sent; when the request began where the entry has no duration.',
    { log: 'common_properties.start_time + duration' },
    { always: true },
  ),
  row('response.backend_latency', DURATION, 'From the first byte sent upstream to the last byte received from there.', {
    log: 'time_to_last_upstream_rx_byte - time_to_first_upstream_tx_byte',
  }),
  row('response.grpc_status', STRING, 'The grpc-status of the response, where Envoy is told to log it.', {
    log: 'trailer, else header grpc-status',
  }),
  row('response.grpc_message', STRING, 'The grpc-message of the response, where Envoy is told to log it.', {
    log: 'trailer, else header grpc-message',
  }),
];
