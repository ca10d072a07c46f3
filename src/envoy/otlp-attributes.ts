/**
 * Attributes of Envoy's OpenTelemetry logger: the command of each attribute that rules read in entries (docs/envoy.md).
 * **In**: needs. **Out**: the list of key-value pairs. **Fails**: never; what no command has is named in a comment.
 */
import { noted } from './commented-yaml.ts';
import type { Needs } from './needs.ts';
import { because, PLACEHOLDER, rulesText, unknown } from './options.ts';

type Commands = Readonly<Record<string, string>>;

const OF_BOTH: Commands = {
  'response.flags': '%RESPONSE_FLAGS%',
  'source.ip': '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
  'source.port': '%DOWNSTREAM_DIRECT_REMOTE_PORT%',
  'destination.ip': '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%',
  'destination.port': '%DOWNSTREAM_LOCAL_PORT%',
  'connection.uri_san_peer_certificate': '%DOWNSTREAM_PEER_URI_SAN%',
  'connection.subject_peer_certificate': '%DOWNSTREAM_PEER_SUBJECT%',
  'connection.requested_server_name': '%REQUESTED_SERVER_NAME%',
  'connection.tls_version': '%DOWNSTREAM_TLS_VERSION%',
  'connection.received.wire_bytes': '%DOWNSTREAM_WIRE_BYTES_RECEIVED%',
  'connection.sent.wire_bytes': '%DOWNSTREAM_WIRE_BYTES_SENT%',
  'connection.termination_details': '%CONNECTION_TERMINATION_DETAILS%',
  'context.log_type': '%ACCESS_LOG_TYPE%',
  'context.stream_id': '%STREAM_ID%',
  'context.route_name': '%ROUTE_NAME%',
  'context.upstream.cluster': '%UPSTREAM_CLUSTER_RAW%',
  'context.upstream.ip': '%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  'context.upstream.port': '%UPSTREAM_REMOTE_PORT%',
  'context.upstream.local_ip': '%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%',
  'context.upstream.local_port': '%UPSTREAM_LOCAL_PORT%',
  'context.upstream.request_attempt_count': '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  'context.upstream.transport_failure_reason': '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  'context.upstream.received_wire_bytes': '%UPSTREAM_WIRE_BYTES_RECEIVED%',
  'context.upstream.sent_wire_bytes': '%UPSTREAM_WIRE_BYTES_SENT%',
};
const OF_REQUESTS: Commands = {
  'request.method': '%REQ(:METHOD)%',
  'request.path': '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  'request.authority': '%REQ(:AUTHORITY)%',
  'request.scheme': '%REQ(:SCHEME)%',
  'request.protocol': '%PROTOCOL%',
  'request.size': '%BYTES_RECEIVED%',
  'request.headers_bytes': '%REQUEST_HEADERS_BYTES%',
  'response.code': '%RESPONSE_CODE%',
  'response.code_details': '%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%',
  'response.size': '%BYTES_SENT%',
  'response.headers_bytes': '%RESPONSE_HEADERS_BYTES%',
  'response.duration': '%DURATION%ms',
  'context.time_to_last_rx_byte': '%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ns)%ns',
  'context.time_to_first_upstream_tx_byte': '%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ns)%ns',
  'context.time_to_last_upstream_tx_byte': '%COMMON_DURATION(DS_RX_BEG:US_TX_END:ns)%ns',
  'context.time_to_first_upstream_rx_byte': '%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ns)%ns',
  'context.time_to_last_upstream_rx_byte': '%COMMON_DURATION(DS_RX_BEG:US_RX_END:ns)%ns',
  'context.time_to_first_downstream_tx_byte': '%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:ns)%ns',
  'context.time_to_last_downstream_tx_byte': '%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%ns',
};
const OF_CONNECTIONS: Commands = {
  'connection.received.bytes_total': '%BYTES_RECEIVED%',
  'connection.sent.bytes_total': '%BYTES_SENT%',
  'connection.duration': '%DURATION%ms',
  'origin.ip': '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
};

export const COMMANDS: Readonly<Record<'log' | 'tcp-log', Commands>> = {
  log: { ...OF_REQUESTS, ...OF_BOTH },
  'tcp-log': { ...OF_CONNECTIONS, ...OF_BOTH },
};

const PEER = ['connection.uri_san_peer_certificate', 'connection.subject_peer_certificate'];
const UPSTREAM = ['context.upstream.cluster'];

/** What an attribute without a command is derived from. */
const BASES: Readonly<Record<string, readonly string[]>> = {
  'request.url_path': ['request.path'],
  'request.path_is_plain': ['request.path'],
  'request.query': ['request.path'],
  'request.query_params': ['request.path'],
  'request.host': ['request.authority'],
  'request.port': ['request.authority'],
  'request.total_size': ['request.size', 'request.headers_bytes'],
  'response.total_size': ['response.size', 'response.headers_bytes'],
  'response.time': ['response.duration'],
  'response.backend_latency': ['context.time_to_first_upstream_tx_byte', 'context.time_to_last_upstream_rx_byte'],
  'connection.received.bytes': ['connection.received.bytes_total'],
  'connection.sent.bytes': ['connection.sent.bytes_total'],
  'connection.event': ['context.log_type'],
  'connection.mtls': PEER,
  'context.time': ['response.duration', 'connection.duration'],
  'context.proxy_error_code': ['response.flags'],
  'context.log_phase': ['context.log_type'],
  'context.reporter.kind': UPSTREAM,
  'destination.service.host': UPSTREAM,
  'destination.service.name': UPSTREAM,
  'destination.service.namespace': UPSTREAM,
  'origin.ip': ['source.ip'],
  'source.principal': PEER,
};

/** Headers that attributes are read from, in the form of the needs of an access log stream. */
const HEADERS: Readonly<Record<string, string>> = {
  'request.useragent': 'user-agent',
  'request.referer': 'referer',
  'request.id': 'x-request-id',
  'origin.ip': 'x-forwarded-for',
  'trace.sampled': 'x-request-id',
};

/** From the record, the resource, Envoy's own labels, a map of headers or metadata, or the filter state of the peer. */
const OTHERWISE_SENT: readonly RegExp[] = [
  /^request\.(?:time|headers|header_values|api_key|auth\..*)$/,
  /^response\.(?:headers|trailers|grpc_status|grpc_message)$/,
  /^context\.(?:protocol|log_name|reporter\.uid|node\.(?:id|cluster|zone))$/,
  /^(?:metadata$|verdict\.|trace\.)/,
  /^(?:source|destination)\.(?!ip$|port$|principal$)/,
];

const pair = (key: string, text: string): object => ({ key, value: { string_value: text } });
const map = (key: string, values: readonly unknown[]): unknown[] =>
  values.length === 0 ? [] : [{ key, value: { kvlist_value: { values } } }];

export function otlpAttributes(needs: Needs, part: 'log' | 'tcp-log'): readonly unknown[] {
  const kind = `${part} attribute`;
  const commands = COMMANDS[part];
  const why = new Map<string, Set<string>>();
  const without: string[] = [];
  for (const name of needs.names(kind)) {
    const bases = basesOf(name, part);
    if (bases.length === 0 && HEADERS[name] === undefined && !OTHERWISE_SENT.some((names) => names.test(name)))
      without.push(name);
    for (const base of bases) {
      const rules = why.get(base) ?? new Set<string>();
      why.set(base, rules);
      for (const rule of needs.why(kind, name)) rules.add(rule);
    }
  }
  const own = Object.entries(commands).flatMap(([key, command]) => {
    const rules = why.get(key);
    return rules === undefined ? [] : [noted(pair(key, command), because([...rules]))];
  });
  const first = noted(
    pair('sluice.call', part),
    without.length === 0
      ? undefined
      : `No command has ${without.join(', ')}; write constants into resource_attributes.`,
  );
  return [
    first,
    ...own,
    ...tags(needs, part),
    ...(part === 'log' ? headerMaps(needs) : []),
    ...states(needs, part),
    ...metadata(needs, part),
  ];
}

/** The attributes with a command by which this one can be read. */
export function basesOf(name: string, part: 'log' | 'tcp-log'): readonly string[] {
  const commands = COMMANDS[part];
  if (commands[name] !== undefined) return [name];
  if (
    /^(?:source\.(?:spiffe\.|namespace$|trustDomain$|serviceAccount$)|origin\.(?:principal$|spiffe\.|certificate\.)|connection\.uri_sans_)/.test(
      name,
    )
  )
    return ['connection.uri_san_peer_certificate'];
  return (BASES[name] ?? []).filter((base) => commands[base] !== undefined);
}

function tags(needs: Needs, part: 'log' | 'tcp-log'): readonly unknown[] {
  const named = needs
    .anyNames(`${part} custom-tag`)
    .map((tag) =>
      noted(
        pair(tag, PLACEHOLDER),
        rulesText(needs.anyWhy(`${part} custom-tag`, tag)),
        unknown(`the value of ${tag}.`),
      ),
    );
  return [
    ...named,
    ...(needs.has(`${part} trace`) ? [pair('trace_id', '%TRACE_ID%'), pair('span_id', '%SPAN_ID%')] : []),
  ];
}

function headerMaps(needs: Needs): readonly unknown[] {
  const read = new Set(needs.names('log attribute'));
  const always = Object.entries(HEADERS).flatMap(([attribute, header]) => (read.has(attribute) ? [header] : []));
  const listed = (kind: string, command: string, also: readonly string[]): unknown[] =>
    [...new Set([...needs.names(`log ${kind}`), ...also])]
      .toSorted()
      .map((name) => noted(pair(name, `%${command}(${name.toUpperCase()})%`), because(needs.why(`log ${kind}`, name))));
  const traced = needs.has('log trace-header') ? ['traceparent'] : [];
  const readByKey = ['user-agent', 'referer', 'x-forwarded-for', 'x-request-id'].filter((name) =>
    needs.has('log known-header', name),
  );
  return [
    ...map('request.headers', listed('request-header', 'REQ', [...always, ...traced, ...readByKey])),
    ...map('response.headers', listed('response-header', 'RESP', [])),
    ...map('response.trailers', listed('response-trailer', 'TRAILER', [])),
  ];
}

const states = (needs: Needs, part: 'log' | 'tcp-log'): readonly unknown[] =>
  map(
    'filter_state',
    needs
      .names(`${part} filter-state`)
      .map((name) => noted(pair(name, `%FILTER_STATE(${name})%`), because(needs.why(`${part} filter-state`, name)))),
  );

/** Verdicts come back in the dynamic metadata of the filters that asked for them. */
function metadata(needs: Needs, part: 'log' | 'tcp-log'): readonly unknown[] {
  const kinds: readonly (readonly [name: string, why: readonly string[]])[] = [
    ...(needs.has(`${part} verdict`)
      ? [
          [
            part === 'log' ? 'envoy.filters.http.ext_authz' : 'envoy.filters.network.ext_authz',
            needs.why(`${part} verdict`),
          ] as const,
        ]
      : []),
    ...(needs.has(`${part} limit-verdict`)
      ? [['envoy.filters.http.ratelimit', needs.why(`${part} limit-verdict`)] as const]
      : []),
    ...needs.anyNames(`${part} metadata`).map((name) => [name, needs.anyWhy(`${part} metadata`, name)] as const),
  ];
  return map(
    'metadata',
    kinds.map(([name, why]) => noted(pair(name, `%DYNAMIC_METADATA(${name})%`), because(why))),
  );
}
