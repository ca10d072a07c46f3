/**
 * **In**: a decoded CheckRequest. **Out**: the value of an attribute, worked out when asked. **Fails**: never.
 * What Envoy really puts into each field is told in its check_request_utils.cc.
 */
import type { Wire } from '../../attributes/bag.ts';
import type { Carrier } from '../../attributes/carrier.ts';
import { Timestamp, type Value } from '../../attributes/values.ts';
import type { AttributeContext, AttributeContext_HttpRequest } from '../generated/envoy/service/auth/v3/attribute_context_pb.ts';
import { headerMap, intOf, ipOf, lengthOf, metadataAt, metadataMap, portOf, present, principalOf, stringMap, timestampOf } from '../wire-values.ts';
import { PeerCertificate } from './certificate.ts';

/** Says that the body was sent along, if empty, and whether it is whole. */
const BODY_WAS_SENT = 'x-envoy-auth-partial-body';

export class CheckWire implements Wire {
  readonly context: AttributeContext;
  /** Absent where the network filter asks. */
  readonly http: AttributeContext_HttpRequest | undefined;
  readonly nowMs: () => number;
  #headers: Map<string, string> | undefined;
  #certificate: PeerCertificate | undefined;

  constructor(context: AttributeContext, nowMs: () => number) {
    this.context = context;
    this.http = context.request?.http;
    this.nowMs = nowMs;
  }

  get call(): 'http' | 'tcp' {
    return this.http === undefined ? 'tcp' : 'http';
  }

  read(attribute: string): Value | undefined {
    return READERS.get(attribute)?.(this);
  }

  carried(carrier: Carrier): Value | undefined {
    switch (carrier.kind) {
      case 'contextExtension': {
        const { contextExtensions } = this.context;
        return Object.hasOwn(contextExtensions, carrier.name) ? contextExtensions[carrier.name] : undefined;
      }
      case 'metadata': return metadataAt(this.context.metadataContext, carrier);
      case 'header': return this.headers()?.get(carrier.name.toLowerCase());
      case 'filterState': case 'customTag': return undefined;
    }
  }

  get weight(): number {
    const { http } = this;
    if (http === undefined) return 0;
    const raw = http.headerMap?.headers.reduce((sum, { key, value, rawValue }) => sum + key.length + value.length + rawValue.length, 0) ?? 0;
    return http.body.length + http.rawBody.length + http.path.length + raw + lengthOf(Object.entries(http.headers).flat());
  }

  headers(): Map<string, string> | undefined {
    if (this.http === undefined) return undefined;
    this.#headers ??= this.http.headerMap === undefined ? headerMap(this.http.headers) : rawHeaders(this.http.headerMap.headers);
    return this.#headers;
  }

  certificate(): PeerCertificate | undefined {
    const encoded = this.context.source?.certificate ?? '';
    if (encoded === '') return undefined;
    this.#certificate ??= new PeerCertificate(encoded);
    return this.#certificate;
  }
}

/** With encode_raw_headers: bytes, and a repeated header is repeated. */
function rawHeaders(headers: readonly { readonly key: string; readonly value: string; readonly rawValue: Uint8Array }[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const { key, value, rawValue } of headers) {
    const name = key.toLowerCase();
    const text = rawValue.length > 0 ? Buffer.from(rawValue.buffer, rawValue.byteOffset, rawValue.byteLength).toString('utf8') : value;
    const before = map.get(name);
    map.set(name, before === undefined ? text : `${before},${text}`);
  }
  return map;
}

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true });

function bodyText(wire: CheckWire): string | undefined {
  const { http } = wire;
  if (http === undefined) return undefined;
  if (http.body !== '') return http.body;
  if (http.rawBody.length === 0) return wire.headers()?.has(BODY_WAS_SENT) === true ? '' : undefined;
  try {
    return STRICT_UTF8.decode(http.rawBody);
  } catch {
    return undefined;
  }
}

function bodyBytes(wire: CheckWire): Uint8Array | undefined {
  const { http } = wire;
  if (http === undefined) return undefined;
  if (http.rawBody.length > 0) return http.rawBody.slice();
  if (http.body !== '') return Buffer.from(http.body, 'utf8');
  return wire.headers()?.has(BODY_WAS_SENT) === true ? new Uint8Array(0) : undefined;
}

/** `size` counts what has arrived so far; older Envoys say -1 where they do not know. */
function bodySize(wire: CheckWire): Value | undefined {
  const { http } = wire;
  if (http === undefined) return undefined;
  const length = wire.headers()?.get('content-length') ?? '';
  if (/^\d{1,15}$/.test(length)) return Number(length);
  const received = Math.max(http.rawBody.length, Buffer.byteLength(http.body));
  return received > 0 || http.size < 0n ? received : intOf(http.size);
}

type Reader = (wire: CheckWire) => Value | undefined;
const READERS: ReadonlyMap<string, Reader> = new Map(Object.entries<Reader>({
  'request.method': ({ http }) => present(http?.method),
  'request.path': ({ http }) => present(http?.path),
  'request.host': ({ http }) => present(http?.host),
  'request.scheme': ({ http }) => present(http?.scheme),
  'request.protocol': ({ http }) => present(http?.protocol),
  'request.headers': (wire) => wire.headers(),
  'request.time': ({ context }) => timestampOf(context.request?.time),
  'request.size': bodySize,
  'request.body': bodyText,
  'request.raw_body': bodyBytes,
  'source.ip': ({ context }) => ipOf(context.source?.address),
  'source.port': ({ context }) => portOf(context.source?.address),
  'source.principal': ({ context }) => principalOf(context.source?.principal),
  'source.cluster': ({ context }) => present(context.source?.service),
  'destination.ip': ({ context }) => ipOf(context.destination?.address),
  'destination.port': ({ context }) => portOf(context.destination?.address),
  'destination.principal': ({ context }) => principalOf(context.destination?.principal),
  'destination.labels': ({ context }) => stringMap(context.destination?.labels ?? {}),
  'connection.mtls': ({ context }) => (context.source?.certificate ?? '') !== '' || undefined,
  'connection.requested_server_name': ({ context, http }) => present(context.tlsSession?.sni) ?? (http === undefined ? present(context.destination?.service) : undefined),
  'connection.event': ({ http }) => (http === undefined ? 'open' : undefined),
  'connection.peer_certificate': (wire) => wire.certificate()?.pem,
  'connection.subject_peer_certificate': (wire) => wire.certificate()?.subject,
  'connection.issuer_peer_certificate': (wire) => wire.certificate()?.issuer,
  'connection.uri_san_peer_certificate': (wire) => wire.certificate()?.alternativeName('URI'),
  'connection.dns_san_peer_certificate': (wire) => wire.certificate()?.alternativeName('DNS'),
  'connection.sha256_peer_certificate_digest': (wire) => wire.certificate()?.sha256,
  'context.protocol': ({ http }) => (http === undefined ? 'tcp' : undefined),
  'context.time': ({ nowMs }) => Timestamp.fromMs(nowMs()),
  'context.stream_id': ({ http }) => present(http?.id),
  'context.route_metadata': ({ context, http }) => (http === undefined ? undefined : metadataMap(context.routeMetadataContext)),
  metadata: ({ context }) => metadataMap(context.metadataContext),
}));
