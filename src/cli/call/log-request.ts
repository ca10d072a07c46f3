/** StreamAccessLogsMessage: from its own JSON form (recognised by `httpLogs` or `tcpLogs`), or one entry from attributes by name. */
import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import {
  StreamAccessLogsMessageSchema,
  type StreamAccessLogsMessage,
} from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import { ResponseFlagsSchema } from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { ENTRY_KINDS, type EntryKind } from '../../attributes/carrier.ts';
import {
  asDuration,
  asHeaders,
  asText,
  asTextMap,
  asTimestamp,
  at,
  fill,
  flat,
  isObject,
  put,
  wrong,
  type Places,
  type Write,
} from './short-form.ts';

const protocol: Write = (value, name) => {
  const version = { 'HTTP/1.0': 'HTTP10', 'HTTP/1.1': 'HTTP11', 'HTTP/2': 'HTTP2', 'HTTP/3': 'HTTP3' }[
    asText(value, name)
  ];
  if (version === undefined)
    throw wrong(`${name} is ${JSON.stringify(value)}; expected HTTP/1.0, HTTP/1.1, HTTP/2 or HTTP/3`);
  return version;
};

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];
/** As Envoy does: a method outside the enumeration is dropped. */
const method: Write = (value, name) => (METHODS.includes(asText(value, name)) ? value : 'METHOD_UNSPECIFIED');

const tlsVersion: Write = (value, name) => asText(value, name).replace('.', '_');

const principal: Write = (value, name) => {
  const text = asText(value, name);
  return text.includes('/') && !text.includes('://') ? `spiffe://${text}` : text;
};
const subjectAltName: Write = (value, name) => [{ uri: principal(value, name) }];

/** Envoy's short names, in the order of the fields of ResponseFlags. */
const FLAGS = [
  'LH',
  'UH',
  'UT',
  'LR',
  'UR',
  'UF',
  'UC',
  'UO',
  'NR',
  'DI',
  'FI',
  'RL',
  'UAEX',
  'RLSE',
  'DC',
  'URX',
  'SI',
  'IH',
  'DPE',
  'UMSDR',
  'RFCF',
  'NFCF',
  'DT',
  'UPE',
  'NC',
  'OM',
  'DF',
  'DR',
];
const flags: Write = (value, name) => {
  const names = (Array.isArray(value) ? value : asText(value, name).split(',')).map((flag) =>
    asText(flag, name).trim(),
  );
  return Object.fromEntries(
    names.map((flag) => {
      const field = ResponseFlagsSchema.fields.find(({ number }) => number === FLAGS.indexOf(flag) + 1);
      if (field === undefined) throw wrong(`${name} contains ${flag}; expected some of ${FLAGS.join(', ')}`);
      return [field.jsonName, field.fieldKind === 'message' ? { reason: 'EXTERNAL_SERVICE' } : true];
    }),
  );
};

const COMMON = 'commonProperties';
const VERDICT = ['commonProperties', 'metadata', 'filterMetadata', 'envoy.filters.http.ext_authz', 'sluice'];

const COMMON_PLACES: Places = {
  'source.ip': at(`${COMMON}.downstreamDirectRemoteAddress.socketAddress.address`, asText),
  'source.port': at(`${COMMON}.downstreamDirectRemoteAddress.socketAddress.portValue`),
  'origin.ip': at(`${COMMON}.downstreamRemoteAddress.socketAddress.address`, asText),
  'source.principal': at(`${COMMON}.tlsProperties.peerCertificateProperties.subjectAltName`, subjectAltName),
  'connection.subject_peer_certificate': at(`${COMMON}.tlsProperties.peerCertificateProperties.subject`, asText),
  'connection.issuer_peer_certificate': at(`${COMMON}.tlsProperties.peerCertificateProperties.issuer`, asText),
  'destination.ip': at(`${COMMON}.downstreamLocalAddress.socketAddress.address`, asText),
  'destination.port': at(`${COMMON}.downstreamLocalAddress.socketAddress.portValue`),
  'destination.principal': at(`${COMMON}.tlsProperties.localCertificateProperties.subjectAltName`, subjectAltName),
  'connection.subject_local_certificate': at(`${COMMON}.tlsProperties.localCertificateProperties.subject`, asText),
  'connection.requested_server_name': at(`${COMMON}.tlsProperties.tlsSniHostname`, asText),
  'connection.tls_version': at(`${COMMON}.tlsProperties.tlsVersion`, tlsVersion),
  'connection.tls_cipher_suite': at(`${COMMON}.tlsProperties.tlsCipherSuite`),
  'connection.tls_session_id': at(`${COMMON}.tlsProperties.tlsSessionId`, asText),
  'connection.ja3_fingerprint': at(`${COMMON}.tlsProperties.ja3Fingerprint`, asText),
  'connection.id': at(`${COMMON}.streamId`, asText),
  'connection.termination_details': at(`${COMMON}.connectionTerminationDetails`, asText),
  'connection.transport_failure_reason': at(`${COMMON}.downstreamTransportFailureReason`, asText),
  'connection.received.wire_bytes': at(`${COMMON}.downstreamWireBytesReceived`),
  'connection.sent.wire_bytes': at(`${COMMON}.downstreamWireBytesSent`),
  'response.flags': at(`${COMMON}.responseFlags`, flags),
  'context.proxy_error_code': at(`${COMMON}.responseFlags`, flags),
  'context.log_type': at(`${COMMON}.accessLogType`, asText),
  'context.route_name': at(`${COMMON}.routeName`, asText),
  'context.stream_id': at(`${COMMON}.streamId`, asText),
  'context.upstream.cluster': at(`${COMMON}.upstreamCluster`, asText),
  'context.upstream.ip': at(`${COMMON}.upstreamRemoteAddress.socketAddress.address`, asText),
  'context.upstream.port': at(`${COMMON}.upstreamRemoteAddress.socketAddress.portValue`),
  'context.upstream.local_ip': at(`${COMMON}.upstreamLocalAddress.socketAddress.address`, asText),
  'context.upstream.local_port': at(`${COMMON}.upstreamLocalAddress.socketAddress.portValue`),
  'context.upstream.request_attempt_count': at(`${COMMON}.upstreamRequestAttemptCount`),
  'context.upstream.transport_failure_reason': at(`${COMMON}.upstreamTransportFailureReason`, asText),
  'context.upstream.received_wire_bytes': at(`${COMMON}.upstreamWireBytesReceived`),
  'context.upstream.sent_wire_bytes': at(`${COMMON}.upstreamWireBytesSent`),
  'context.time_to_last_rx_byte': at(`${COMMON}.timeToLastRxByte`, asDuration),
  'context.time_to_first_upstream_tx_byte': at(`${COMMON}.timeToFirstUpstreamTxByte`, asDuration),
  'context.time_to_last_upstream_tx_byte': at(`${COMMON}.timeToLastUpstreamTxByte`, asDuration),
  'context.time_to_first_upstream_rx_byte': at(`${COMMON}.timeToFirstUpstreamRxByte`, asDuration),
  'context.time_to_last_upstream_rx_byte': at(`${COMMON}.timeToLastUpstreamRxByte`, asDuration),
  'context.time_to_first_downstream_tx_byte': at(`${COMMON}.timeToFirstDownstreamTxByte`, asDuration),
  'context.time_to_last_downstream_tx_byte': at(`${COMMON}.timeToLastDownstreamTxByte`, asDuration),
  metadata: at(`${COMMON}.metadata.filterMetadata`),
  'verdict.id': { path: [...VERDICT, 'id'], write: asText },
  'verdict.rule': { path: [...VERDICT, 'rule'], write: asText },
  'verdict.outcome': { path: [...VERDICT, 'outcome'], write: asText },
  customTag: at(`${COMMON}.customTags`, asTextMap),
};

const HTTP_PLACES: Places = {
  ...COMMON_PLACES,
  'request.method': at('request.requestMethod', method),
  'request.path': at('request.path', asText),
  'request.url_path': at('request.path', asText),
  'request.host': at('request.authority', asText),
  'request.authority': at('request.authority', asText),
  'request.scheme': at('request.scheme', asText),
  'request.protocol': at('protocolVersion', protocol),
  'request.headers': at('request.requestHeaders', asHeaders),
  'request.id': at('request.requestId', asText),
  'request.useragent': at('request.userAgent', asText),
  'request.referer': at('request.referer', asText),
  'request.size': at('request.requestBodyBytes'),
  'request.headers_bytes': at('request.requestHeadersBytes'),
  'request.time': at(`${COMMON}.startTime`, asTimestamp),
  'response.code': at('response.responseCode'),
  'response.code_details': at('response.responseCodeDetails', asText),
  'response.headers': at('response.responseHeaders', asHeaders),
  'response.trailers': at('response.responseTrailers', asHeaders),
  'response.size': at('response.responseBodyBytes'),
  'response.headers_bytes': at('response.responseHeadersBytes'),
  'response.duration': at(`${COMMON}.duration`, asDuration),
  'response.grpc_status': { path: ['response', 'responseTrailers', 'grpc-status'], write: asText },
  'response.grpc_message': { path: ['response', 'responseTrailers', 'grpc-message'], write: asText },
};

const TCP_PLACES: Places = {
  ...COMMON_PLACES,
  'request.time': at(`${COMMON}.startTime`, asTimestamp),
  'connection.duration': at(`${COMMON}.duration`, asDuration),
  'connection.received.bytes': at('connectionProperties.receivedBytes'),
  'connection.received.bytes_total': at('connectionProperties.receivedBytes'),
  'connection.sent.bytes': at('connectionProperties.sentBytes'),
  'connection.sent.bytes_total': at('connectionProperties.sentBytes'),
};

/** Attributes of the message, not of an entry. */
const IDENTIFIER_PLACES: Places = {
  'context.log_name': at('identifier.logName', asText),
  'context.node.id': at('identifier.node.id', asText),
  'context.reporter.uid': at('identifier.node.id', asText),
  'context.node.cluster': at('identifier.node.cluster', asText),
  'context.node.region': at('identifier.node.locality.region', asText),
  'context.node.zone': at('identifier.node.locality.zone', asText),
  'context.node.sub_zone': at('identifier.node.locality.subZone', asText),
  'context.node.metadata': at('identifier.node.metadata'),
  'context.proxy_version': at('identifier.node.userAgentVersion', asText),
};

const KNOWN = new Set([
  ...Object.keys(HTTP_PLACES),
  ...Object.keys(TCP_PLACES),
  ...Object.keys(IDENTIFIER_PLACES),
  'call',
]);
const OWN_FORM = ['identifier', 'httpLogs', 'tcpLogs', 'http_logs', 'tcp_logs'];

/** By default the final entry of a local connection, starting now and without duration; `call: tcp-log` makes one of a TCP connection. */
export function logRequest(request: unknown): StreamAccessLogsMessage {
  if (isObject(request) && OWN_FORM.some((key) => key in request))
    return fromJson(StreamAccessLogsMessageSchema, request);
  const given = flat(request, KNOWN);
  const call: JsonValue = given.find(([name]) => name === 'call')?.[1] ?? 'log';
  const kind = ENTRY_KINDS.find((known) => known === call);
  if (kind === undefined)
    throw wrong(`call is ${JSON.stringify(call)}; expected one of ${ENTRY_KINDS.join(', ')} for an entry`);
  const isHttp = kind === 'log' || kind === 'log-interim';
  const values = given.filter(([name]) => name !== 'call');
  const ofEntry = values.filter(([name]) => !(name in IDENTIFIER_PLACES));
  const entry = beginning(kind, values);
  fill(entry, ofEntry, {
    places: isHttp ? HTTP_PLACES : TCP_PLACES,
    wire: isHttp ? 'the access log' : 'the access log of TCP',
  });
  const message: JsonObject = {
    identifier: { node: { id: 'sluice-call' }, logName: 'sluice-call' },
    [isHttp ? 'httpLogs' : 'tcpLogs']: { logEntry: [entry] },
  };
  fill(
    message,
    values.filter(([name]) => name in IDENTIFIER_PLACES),
    { places: IDENTIFIER_PLACES, wire: 'the access log' },
  );
  return fromJson(StreamAccessLogsMessageSchema, message);
}

const ENTRY_TYPES: Readonly<Record<EntryKind, string>> = {
  log: 'DownstreamEnd',
  'tcp-log': 'TcpConnectionEnd',
  'log-interim': 'DownstreamPeriodic',
  'tcp-log-interim': 'TcpPeriodic',
};

function beginning(call: EntryKind, values: readonly (readonly [string, JsonValue])[]): JsonObject {
  const given = new Map(values);
  const here = (address: JsonValue): JsonObject => ({ socketAddress: { address, portValue: 0 } });
  const source = given.get('source.ip') ?? given.get('origin.ip') ?? '127.0.0.1';
  const entry: JsonObject = {
    commonProperties: {
      startTime: new Date().toISOString(),
      accessLogType: ENTRY_TYPES[call],
      downstreamRemoteAddress: here(given.get('origin.ip') ?? source),
      downstreamDirectRemoteAddress: here(source),
      downstreamLocalAddress: here('127.0.0.1'),
    },
  };
  if (call === 'log' || call === 'log-interim') {
    put(entry, ['protocolVersion'], 'HTTP11');
    put(entry, ['request'], { requestMethod: 'GET', scheme: 'http', authority: 'localhost', path: '/' });
    put(entry, ['response'], { responseCode: 200 });
  } else {
    put(entry, ['connectionProperties'], {});
  }
  return entry;
}
