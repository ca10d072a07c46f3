import type { Value } from '../../attributes/values.ts';
import { byNumber } from '../../attributes/vocabulary.ts';
import type {
  AccessLogCommon,
  HTTPAccessLogEntry,
  HTTPRequestProperties,
  HTTPResponseProperties,
} from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { asBuffer } from '../../transport/byte-range.ts';
import { HeaderMap } from '../../protobuf/header-map.ts';
import { rangeOfLazy } from '../../protobuf/lazy-message.ts';
import { FieldScan, wideValue, WireType } from '../../protobuf/scan.ts';
import { anyAt, between, durationOf, headerMap, intOf, present, timestampOf } from '../wire-values.ts';
import { COMMON_READERS, EntryWire } from './entry-wire.ts';
import type { LogOrigin } from '../log-origin.ts';

/** The access log entry of a request. */
export class HttpEntryWire extends EntryWire {
  readonly entry: HTTPAccessLogEntry;
  #request: HTTPRequestProperties | undefined;
  #response: HTTPResponseProperties | undefined;
  #headers: ReadonlyMap<string, string> | undefined;

  /** `common`: of the entry; given where it was read already. */
  constructor(
    entry: HTTPAccessLogEntry,
    origin: LogOrigin,
    common: AccessLogCommon | undefined = entry.commonProperties,
  ) {
    super(common, origin);
    this.entry = entry;
  }

  /** Each read of the entry makes another view, which finds its fields again. */
  get request(): HTTPRequestProperties | undefined {
    return (this.#request ??= this.entry.request);
  }

  get response(): HTTPResponseProperties | undefined {
    return (this.#response ??= this.entry.response);
  }

  protected value(number: number): Value | undefined {
    return READERS[number]?.(this);
  }

  protected header(name: string): string | undefined {
    return this.headers().get(name);
  }

  /** The headers that Envoy is configured to log, and the ones that it always logs. */
  headers(): ReadonlyMap<string, string> {
    const { request } = this;
    return (this.#headers ??= headersOf(
      request,
      REQUEST_HEADERS,
      () => request?.requestHeaders,
      () => alwaysLogged(request),
    ));
  }

  responseHeaders(): ReadonlyMap<string, string> {
    return headersOf(this.response, RESPONSE_HEADERS, () => this.response?.responseHeaders);
  }

  responseTrailers(): ReadonlyMap<string, string> {
    return headersOf(this.response, RESPONSE_TRAILERS, () => this.response?.responseTrailers);
  }
}

/** Field numbers of envoy.data.accesslog.v3.HTTPRequestProperties, and of HTTPResponseProperties. */
const REQUEST_HEADERS = 13;
const [RESPONSE_HEADERS, RESPONSE_TRAILERS] = [4, 5];

/** A header is looked up in the bytes, since rules read few. `decoded`: of a message that the library has decoded. */
function headersOf(
  message: HTTPRequestProperties | HTTPResponseProperties | undefined,
  field: number,
  decoded: () => Readonly<Record<string, string>> | undefined,
  others: () => Iterable<readonly [name: string, value: string]> = () => [],
): ReadonlyMap<string, string> {
  const range = message === undefined ? undefined : rangeOfLazy(message);
  if (range !== undefined) return new HeaderMap(range.bytes, range.from, range.to, field, others);
  const headers = headerMap(decoded() ?? {});
  for (const [name, value] of others()) if (!headers.has(name)) headers.set(name, value);
  return headers;
}

function* alwaysLogged(request: HTTPRequestProperties | undefined): Generator<readonly [name: string, value: string]> {
  for (const [name, value] of [
    ['user-agent', request?.userAgent],
    ['referer', request?.referer],
    ['x-forwarded-for', request?.forwardedFor],
    ['x-request-id', request?.requestId],
  ] as const)
    if (value !== undefined && value !== '') yield [name, value];
}

const METHODS = [undefined, 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];
const PROTOCOLS = [undefined, 'HTTP/1.0', 'HTTP/1.1', 'HTTP/2', 'HTTP/3'];

/** From the trailers, or from the headers of a response without a body. */
function grpcTrailer(wire: HttpEntryWire, name: string): string | undefined {
  return present(wire.responseTrailers().get(name)) ?? present(wire.responseHeaders().get(name));
}

/** `field` of envoy.extensions.filters.http.grpc_stats.v3.FilterObject: 1, messages of the request; 2, of the response. */
function grpcMessages({ common }: HttpEntryWire, field: 1 | 2): number | undefined {
  const any = anyAt(common?.filterStateObjects ?? {}, 'envoy.filters.http.grpc_stats');
  if (any === undefined) return undefined;
  const bytes = asBuffer(any.value);
  const fields = new FieldScan(bytes, 0, bytes.length);
  let count = 0;
  for (let number = fields.next(); number !== 0; number = fields.next())
    if (number === field && fields.type === WireType.VARINT) count = Number(wideValue(bytes, fields.from, fields.to));
  return count;
}

type Reader = (wire: HttpEntryWire) => Value | undefined;
const READERS = byNumber<Reader>({
  ...COMMON_READERS,
  'request.method': ({ request }) => METHODS[request?.requestMethod ?? 0],
  'request.path': ({ request }) => present(request?.originalPath) ?? present(request?.path),
  'request.grpc_messages': (wire) => grpcMessages(wire, 1),
  'response.grpc_messages': (wire) => grpcMessages(wire, 2),
  'request.authority': ({ request }) => present(request?.authority),
  'request.scheme': ({ request }) => present(request?.scheme),
  'request.protocol': ({ entry }) => PROTOCOLS[entry.protocolVersion],
  'request.headers': (wire) => wire.headers(),
  'request.time': ({ common }) => timestampOf(common?.startTime),
  'request.size': ({ request }) => intOf(request?.requestBodyBytes ?? 0n),
  'request.headers_bytes': ({ request }) => intOf(request?.requestHeadersBytes ?? 0n),
  'request.total_size': ({ request }) =>
    intOf((request?.requestHeadersBytes ?? 0n) + (request?.requestBodyBytes ?? 0n)),
  'response.code': ({ response }) => response?.responseCode ?? 0,
  'response.code_details': ({ response }) => present(response?.responseCodeDetails),
  'response.headers': (wire) => wire.responseHeaders(),
  'response.trailers': (wire) => wire.responseTrailers(),
  'response.size': ({ response }) => intOf(response?.responseBodyBytes ?? 0n),
  'response.headers_bytes': ({ response }) => intOf(response?.responseHeadersBytes ?? 0n),
  'response.total_size': ({ response }) =>
    intOf((response?.responseHeadersBytes ?? 0n) + (response?.responseBodyBytes ?? 0n)),
  'response.duration': ({ duration }) => duration,
  'response.time': ({ end }) => end,
  'response.backend_latency': ({ common }) => {
    const [sent, received] = [
      durationOf(common?.timeToFirstUpstreamTxByte),
      durationOf(common?.timeToLastUpstreamRxByte),
    ];
    return sent === undefined || received === undefined ? undefined : between(sent, received);
  },
  'response.grpc_status': (wire) => grpcTrailer(wire, 'grpc-status'),
  'response.grpc_message': (wire) => grpcTrailer(wire, 'grpc-message'),
});
