/** `request.*`: the request of the client. Names are Istio's, then Envoy's. */
import {
  apiKey,
  bodyIsPartial,
  headerText,
  headerValues,
  host,
  jwtAudiences,
  jwtClaims,
  jwtClaimText,
  jwtPrincipal,
  jwtRawClaims,
  pathIsPlain,
  port,
  queryMap,
  urlPath,
} from '../derive.ts';
import { BOOL, BYTES, DYN, INT, listOf, mapOf, STRING, STRING_MAP, TIMESTAMP } from '../types.ts';
import { row } from './row.ts';

const JWT = 'metadata_context, namespace envoy.filters.http.jwt_authn';
const JWT_LOG = 'common_properties.metadata, namespace envoy.filters.http.jwt_authn';
const FROM_JWT = { http: JWT, log: JWT_LOG };
const LOGGED = 'request.request_headers, if Envoy is configured to log it';

export const REQUEST = [
  row(
    'request.method',
    STRING,
    'The HTTP method. The access log can express nine methods only; others are absent there.',
    { http: 'request.http.method', log: 'request.request_method' },
    { always: true },
  ),
  row(
    'request.path',
    STRING,
    'The path as the client sent it, with the query.',
    { http: 'request.http.path', log: 'request.original_path, else request.path' },
    { always: true },
  ),
  row(
    'request.url_path',
    STRING,
    'The path without the query, normalised as settings.path and settings.pathParameters say.',
    { http: 'derived from request.path', log: 'derived from request.path' },
    { always: true, derive: urlPath },
  ),
  row(
    'request.path_is_plain',
    BOOL,
    'Whether all proxies and servers read the path alike: it has no empty segment, no segment of dots, no ;, no backslash, ' +
      'no control character, no escape of one of these or of %, and no % that begins no escape of UTF-8.',
    { http: 'derived from request.path', log: 'derived from request.path' },
    { always: true, derive: pathIsPlain },
  ),
  row(
    'request.query',
    STRING_MAP,
    'The query parameters, decoded; the first value of a repeated name.',
    { http: 'derived from request.path', log: 'derived from request.path' },
    { always: true, derive: queryMap },
  ),
  row(
    'request.query_params',
    STRING_MAP,
    "Istio's name for request.query.",
    { http: 'derived from request.path', log: 'derived from request.path' },
    { always: true, derive: queryMap },
  ),
  row(
    'request.host',
    STRING,
    'The requested host in the form for comparisons: lower case, without the port and the trailing dot, an IPv6 address ' +
      'as RFC 5952 writes it.',
    { http: 'derived from request.authority', log: 'derived from request.authority' },
    { always: true, derive: host },
  ),
  row(
    'request.port',
    INT,
    'The port of the requested authority.',
    { http: 'derived from request.authority', log: 'derived from request.authority' },
    { derive: port },
  ),
  row(
    'request.authority',
    STRING,
    'Host and port as the client sent them (the Host header, or :authority).',
    { http: 'request.http.host', log: 'request.authority' },
    { always: true },
  ),
  row(
    'request.scheme',
    STRING,
    'http or https.',
    { http: 'request.http.scheme', log: 'request.scheme' },
    { always: true },
  ),
  row(
    'request.protocol',
    STRING,
    'HTTP/1.0, HTTP/1.1, HTTP/2 or HTTP/3.',
    { http: 'request.http.protocol', log: 'protocol_version' },
    { always: true },
  ),
  row(
    'request.headers',
    STRING_MAP,
    'The headers; names are lower case, values of a repeated header joined by a comma. The access log has user-agent, referer, ' +
      'x-forwarded-for, x-request-id, and the headers that Envoy is configured to log.',
    { http: 'request.http.headers or header_map', log: 'request.request_headers' },
    { always: true },
  ),
  row(
    'request.header_values',
    mapOf(STRING, listOf(STRING)),
    'The headers, each value of a repeated one by itself where the proxy sends raw headers (encode_raw_headers), else joined by a comma.',
    { http: 'request.http.header_map, else derived from request.headers', log: 'derived from request.headers' },
    { always: true, derive: headerValues },
  ),
  row(
    'request.id',
    STRING,
    'The x-request-id header, which is the same at the check and in the log.',
    { http: 'header x-request-id', log: 'request.request_id' },
    { derive: headerText('x-request-id') },
  ),
  row(
    'request.useragent',
    STRING,
    'The user-agent header.',
    { http: 'header user-agent', log: 'request.user_agent' },
    { derive: headerText('user-agent') },
  ),
  row(
    'request.referer',
    STRING,
    'The referer header.',
    { http: 'header referer', log: 'request.referer' },
    { derive: headerText('referer') },
  ),
  row(
    'request.time',
    TIMESTAMP,
    'When the first byte of the request arrived.',
    { http: 'request.time', log: 'common_properties.start_time' },
    { always: true },
  ),
  row(
    'request.size',
    INT,
    'Bytes of the body: at the check by content-length, else what Envoy has received to its end. Absent for a body of ' +
      'which nobody knows the length; see docs/rules.md for GET, HEAD and OPTIONS.',
    {
      http: 'header content-length, else header x-sluice-received of the call, else the body',
      log: 'request.request_body_bytes',
    },
    { always: true },
  ),
  row('request.grpc_messages', INT, 'Messages of the gRPC request so far.', {
    log: 'filter_state_objects["envoy.filters.http.grpc_stats"] (grpc_stats with emit_filter_state)',
  }),
  row(
    'request.headers_bytes',
    INT,
    'Bytes of the headers.',
    { log: 'request.request_headers_bytes' },
    { always: true },
  ),
  row(
    'request.total_size',
    INT,
    'Bytes of headers and body.',
    { log: 'request.request_headers_bytes + request_body_bytes' },
    { always: true },
  ),
  row(
    'request.body',
    STRING,
    'The body as text, if the filter is configured to send it (with_request_body) and sends all of it; ' +
      'bytes that are not UTF-8 read as U+FFFD.',
    { http: 'request.http.body, else raw_body' },
  ),
  row(
    'request.raw_body',
    BYTES,
    'The body as bytes, if the filter is configured to send it (with_request_body) and sends all of it.',
    { http: 'request.http.raw_body, else body' },
  ),
  row(
    'request.body_is_partial',
    BOOL,
    'Whether Envoy sent the beginning of a longer body (allow_partial_message); request.body and request.raw_body are absent then.',
    { http: 'header x-envoy-auth-partial-body' },
    { always: true, derive: bodyIsPartial },
  ),
  row(
    'request.api_key',
    STRING,
    'The x-api-key header, else the query parameter api_key or key.',
    { http: 'header x-api-key, else request.path', log: `${LOGGED}, else request.path` },
    { secret: true, derive: apiKey },
  ),
  row('request.auth.principal', STRING, 'Issuer and subject of the verified token: iss/sub.', FROM_JWT, {
    derive: jwtPrincipal,
  }),
  row('request.auth.audiences', listOf(STRING), 'The audience of the verified token (aud).', FROM_JWT, {
    derive: jwtAudiences,
  }),
  row('request.auth.presenter', STRING, 'The party to which the verified token was issued (azp).', FROM_JWT, {
    derive: jwtClaimText('azp'),
  }),
  row('request.auth.claims', mapOf(STRING, DYN), 'All claims of the verified token.', FROM_JWT, { derive: jwtClaims }),
  row('request.auth.raw_claims', STRING, 'All claims of the verified token, as JSON text.', FROM_JWT, {
    secret: true,
    derive: jwtRawClaims,
  }),
  row('request.reason', STRING, "Istio's reason of a request; Envoy never sends it.", {}),
];
