/**
 * **In**: the bytes of a CheckRequest, and its call. **Out**: the value of an attribute, decoded when it is read; absent if its part is
 * malformed.
 * **Fails**: the constructor, with INVALID_ARGUMENT if the request is malformed.
 * Envoy fills the fields in its check_request_utils.cc.
 */
import type { Wire } from '../../attributes/bag.ts';
import type { Carrier } from '../../attributes/carrier.ts';
import { labelsOf } from '../../attributes/labels.ts';
import { type PeerCertificate, peerCertificate } from '../../attributes/peer-certificate.ts';
import { Timestamp, type Value } from '../../attributes/values.ts';
import { byNumber, numberOf } from '../../attributes/vocabulary.ts';
import { TimestampSchema } from '@bufbuild/protobuf/wkt';
import { parseIp } from '../../attributes/network.ts';
import { CONTEXT_HEADER, extensionsOf } from '../../text/context-header.ts';
import { RECEIVED_HEADER, wholeBodyBytes } from '../../text/received-header.ts';
import type { ByteRange } from '../../transport/byte-range.ts';
import type { CallContext } from '../../transport/transport.ts';
import { MetadataSchema } from '../../../gen/envoy/config/core/v3/base_pb.ts';
import { AttributeContext_PeerSchema } from '../../../gen/envoy/service/auth/v3/attribute_context_pb.ts';
import { HeaderMap, lowerAscii } from '../../protobuf/header-map.ts';
import { absentWhereMalformed } from '../../protobuf/malformed.ts';
import { CachedText, ParsedTextCache } from '../../protobuf/utf8-text.ts';
import { mayHaveBody, metadataAt, metadataMap, principalOf, stringMap, timestampOf } from '../wire-values.ts';
import { CheckScan, Part } from './check-scan.ts';
import { rawHeaders, rawHeaderValues } from './raw-headers.ts';

/** Present if the body was sent, even if empty; `true` if it is incomplete. */
const BODY_WAS_SENT = 'x-envoy-auth-partial-body';

/** These rarely change between the calls of a proxy. */
const cache = {
  method: new CachedText(),
  host: new CachedText(),
  scheme: new CachedText(),
  protocol: new CachedText(),
};

/** The addresses of peers. */
const addresses = new ParsedTextCache(parseIp);

/** Context headers, parsed: all calls of a filter chain have the same. A header has at most 16 KB. */
const MAX_CONTEXTS = 256;
const contexts = new Map<string, ReadonlyMap<string, string> | undefined>();

function contextOf(header: string): ReadonlyMap<string, string> | undefined {
  const known = contexts.get(header);
  if (known !== undefined || contexts.has(header)) return known;
  const extensions = extensionsOf(header);
  if (contexts.size >= MAX_CONTEXTS) contexts.clear();
  contexts.set(header, extensions);
  return extensions;
}

/** The headers of a call that attributes are read from; a call itself retains its connection. */
class KeptHeaders {
  readonly context: string | undefined;
  readonly received: string | undefined;

  constructor(call: Pick<CallContext, 'metadata'>) {
    this.context = call.metadata(CONTEXT_HEADER);
    this.received = call.metadata(RECEIVED_HEADER);
  }

  get weight(): number {
    return (this.context?.length ?? 0) + (this.received?.length ?? 0);
  }

  metadata(key: string): string | undefined {
    return key === CONTEXT_HEADER ? this.context : key === RECEIVED_HEADER ? this.received : undefined;
  }
}

export class CheckWire implements Wire {
  readonly scan: CheckScan;
  readonly nowMs: () => number;
  #call: Pick<CallContext, 'metadata'> | undefined;
  #headers: ReadonlyMap<string, string> | undefined;
  #certificate: PeerCertificate | undefined;

  constructor(request: ByteRange, nowMs: () => number, call?: Pick<CallContext, 'metadata'>) {
    this.scan = new CheckScan(request);
    this.nowMs = nowMs;
    this.#call = call;
  }

  /** The network filter sends no HTTP request. */
  get isHttp(): boolean {
    return this.scan.has(Part.HTTP);
  }

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    try {
      return number === undefined ? undefined : READERS[number]?.(this);
    } catch (error) {
      return absentWhereMalformed(error);
    }
  }

  carried(carrier: Carrier): Value | undefined {
    try {
      return this.#carried(carrier);
    } catch (error) {
      return absentWhereMalformed(error);
    }
  }

  /** Extensions of the message take precedence over those of the header. */
  extension(name: string): string | undefined {
    return this.scan.extension(name) ?? this.#ofHeader()?.get(name);
  }

  contextExtensions(): ReadonlyMap<string, string> {
    const own = this.scan.extensions();
    const ofHeader = this.#ofHeader();
    return ofHeader === undefined ? own : new Map([...ofHeader, ...own]);
  }

  /** `undefined`: there is none, or it is malformed. */
  #ofHeader(): ReadonlyMap<string, string> | undefined {
    const header = this.#call?.metadata(CONTEXT_HEADER);
    return header === undefined ? undefined : contextOf(header);
  }

  /** What Envoy has received, if it is configured to say so. */
  get received(): string | undefined {
    return this.#call?.metadata(RECEIVED_HEADER);
  }

  #carried(carrier: Carrier): Value | undefined {
    switch (carrier.kind) {
      case 'contextExtension':
        return this.extension(carrier.name);
      case 'metadata':
        return metadataAt(this.scan.message(Part.METADATA, MetadataSchema), carrier);
      case 'header':
        return this.headers()?.get(lowerAscii(carrier.name));
      case 'filterState':
      case 'customTag':
        return undefined;
    }
  }

  get weight(): number {
    return this.scan.length + (this.#call instanceof KeptHeaders ? this.#call.weight : 0);
  }

  keep(): void {
    if (this.#call !== undefined && !(this.#call instanceof KeptHeaders)) this.#call = new KeptHeaders(this.#call);
    const by = this.scan.keep();
    if (this.#headers instanceof HeaderMap) this.#headers.move(this.scan.bytes, by);
  }

  headers(): ReadonlyMap<string, string> | undefined {
    if (!this.isHttp) return undefined;
    const { scan } = this;
    return (this.#headers ??= scan.has(Part.RAW_HEADERS)
      ? rawHeaders(scan)
      : new HeaderMap(scan.bytes, scan.from(Part.HTTP), scan.to(Part.HTTP), HEADERS));
  }

  certificate(): PeerCertificate | undefined {
    if (this.#certificate === undefined) {
      const encoded = this.scan.textIn(Part.SOURCE, CERTIFICATE);
      if (encoded !== undefined) this.#certificate = peerCertificate(encoded);
    }
    return this.#certificate;
  }
}

/** Field numbers of an HttpRequest, a Peer and a TLSSession. */
const [HEADERS, SIZE, BODY, RAW_BODY] = [3, 9, 11, 12];
const [SERVICE, PRINCIPAL, CERTIFICATE] = [2, 4, 5];
const SNI = 1;

/**
 * The body as Envoy sends it; empty if Envoy is configured to send it and the request has none. `undefined` if only a part was sent;
 * otherwise a client could choose the part by which a rule decides.
 */
function bodyBytesOf(wire: CheckWire): Buffer | undefined {
  const { scan } = wire;
  const wasSent = wire.headers()?.get(BODY_WAS_SENT);
  if (wasSent === 'true') return undefined;
  const body = scan.bytesIn(Part.HTTP, BODY) ?? scan.bytesIn(Part.HTTP, RAW_BODY);
  return body ?? (wasSent === undefined ? undefined : NOTHING);
}

const NOTHING = Buffer.alloc(0);

/** A copy, since the value may outlive the transport's buffer. */
function bodyCopy(wire: CheckWire): Uint8Array | undefined {
  const body = bodyBytesOf(wire);
  return body === undefined ? undefined : new Uint8Array(body);
}

/**
 * The length that the client states, which Envoy enforces, else what Envoy has received to its end. A body whose length nobody knows has
 * none, since 0, or what has arrived of it, would evade each limit.
 */
function bodySize(wire: CheckWire): Value | undefined {
  const { scan, isHttp } = wire;
  if (!isHttp) return undefined;
  const length = wire.headers()?.get('content-length') ?? '';
  if (/^\d{1,15}$/.test(length)) return Number(length);
  const { received } = wire;
  if (received !== undefined) return wholeBodyBytes(received);
  const wasSent = wire.headers()?.get(BODY_WAS_SENT);
  if (wasSent === 'true') return undefined;
  const body = scan.bytesIn(Part.HTTP, BODY) ?? scan.bytesIn(Part.HTTP, RAW_BODY);
  if (body !== undefined || wasSent !== undefined) return body?.length ?? 0;
  // Of a body that it does not buffer, `size` counts what has arrived so far; older versions send -1.
  return scan.int64In(Part.HTTP, SIZE) > 0n || mayHaveBody(scan.text(Part.METHOD, cache.method)) ? undefined : 0;
}

/** The names of the certificate, which may be more than the one that Envoy takes for the principal. */
function peerUris(wire: CheckWire): Value | undefined {
  const certificate = wire.certificate();
  if (certificate !== undefined) return someOf(certificate.uris);
  const principal = wire.scan.textIn(Part.SOURCE, PRINCIPAL);
  return principal?.startsWith('spiffe://') === true ? [principal] : undefined;
}

const someOf = (names: readonly string[] | undefined): readonly string[] | undefined =>
  names === undefined || names.length === 0 ? undefined : names;

type Reader = (wire: CheckWire) => Value | undefined;
const READERS = byNumber<Reader>({
  'request.method': ({ scan }) => scan.text(Part.METHOD, cache.method),
  'request.path': ({ scan }) => scan.text(Part.PATH),
  'request.authority': ({ scan }) => scan.text(Part.HOST, cache.host),
  'request.scheme': ({ scan }) => scan.text(Part.SCHEME, cache.scheme),
  'request.protocol': ({ scan }) => scan.text(Part.PROTOCOL, cache.protocol),
  'request.headers': (wire) => wire.headers(),
  'request.header_values': ({ scan }) => (scan.has(Part.RAW_HEADERS) ? rawHeaderValues(scan) : undefined),
  'request.time': ({ scan }) => timestampOf(scan.message(Part.TIME, TimestampSchema)),
  'request.size': bodySize,
  'request.body': (wire) => bodyBytesOf(wire)?.toString('utf8'),
  'request.raw_body': bodyCopy,
  'source.ip': ({ scan }) => scan.socketAddress(Part.SOURCE, addresses),
  'source.port': ({ scan }) => scan.socket(Part.SOURCE)?.port,
  'source.principal': ({ scan }) => principalOf(scan.textIn(Part.SOURCE, PRINCIPAL)),
  'source.cluster': ({ scan }) => scan.textIn(Part.SOURCE, SERVICE),
  'destination.ip': ({ scan }) => scan.socketAddress(Part.DESTINATION, addresses),
  'destination.port': ({ scan }) => scan.socket(Part.DESTINATION)?.port,
  'destination.principal': ({ scan }) => principalOf(scan.textIn(Part.DESTINATION, PRINCIPAL)),
  'destination.labels': (wire) => {
    const labels = stringMap(wire.scan.message(Part.DESTINATION, AttributeContext_PeerSchema)?.labels ?? {});
    return labels.size === 0 ? labelsOf(wire.extension('destination.labels')) : labels;
  },
  'connection.mtls': ({ scan }) => scan.textIn(Part.SOURCE, CERTIFICATE) !== undefined || undefined,
  'connection.requested_server_name': ({ scan, isHttp }) =>
    scan.textIn(Part.TLS, SNI) ?? (isHttp ? undefined : scan.textIn(Part.DESTINATION, SERVICE)),
  'connection.event': ({ isHttp }) => (isHttp ? undefined : 'open'),
  'connection.peer_certificate': (wire) => wire.certificate()?.pem,
  'connection.subject_peer_certificate': (wire) => wire.certificate()?.subject,
  'connection.issuer_peer_certificate': (wire) => wire.certificate()?.issuer,
  'connection.uri_san_peer_certificate': (wire) => wire.certificate()?.uris[0],
  'connection.uri_sans_peer_certificate': peerUris,
  'connection.dns_sans_peer_certificate': (wire) => someOf(wire.certificate()?.dns),
  'connection.dns_san_peer_certificate': (wire) => wire.certificate()?.dns[0],
  'connection.sha256_peer_certificate_digest': (wire) => wire.certificate()?.sha256,
  'context.protocol': ({ isHttp }) => (isHttp ? undefined : 'tcp'),
  'context.time': ({ nowMs }) => Timestamp.fromMs(nowMs()),
  'context.stream_id': ({ scan }) => scan.text(Part.ID),
  'context.route_metadata': ({ scan, isHttp }) =>
    isHttp ? metadataMap(scan.message(Part.ROUTE_METADATA, MetadataSchema)) : undefined,
  metadata: ({ scan }) => metadataMap(scan.message(Part.METADATA, MetadataSchema)),
});
