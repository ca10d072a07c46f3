/**
 * **In**: the bytes of a CheckRequest. **Out**: the ranges of its parts; a part or a string is decoded when it is read. Bytes that are not
 * UTF-8 in a string become U+FFFD. **Fails**: with a `Malformed`, at once if the outer messages are malformed, else when the malformed
 * part is read.
 *
 * A singular message that occurs twice must be merged. No known sender does that; the request is then rewritten first.
 */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { asBuffer } from '../../transport/byte-range.ts';
import type { ByteRange } from '../../transport/byte-range.ts';
import { GrpcError, Status } from '../../transport/transport.ts';
import {
  type AttributeContext_Peer,
  AttributeContext_PeerSchema,
} from '../../../gen/envoy/service/auth/v3/attribute_context_pb.ts';
import { wellFormedEntryOf } from '../../protobuf/header-map.ts';
import { lazyMessage } from '../../protobuf/lazy-message.ts';
import { mergedParts } from '../../protobuf/merged-parts.ts';
import { type CachedText, type ParsedTextCache, utf8Text } from '../../protobuf/utf8-text.ts';
import { endOf, FieldScan, locateFields, wanted, wideValue, WireType } from '../../protobuf/scan.ts';

/** The parts of a request: indices into the positions at which they begin. Position 0 means absent. */
export const Part = {
  ATTRIBUTES: 0,
  SOURCE: 1,
  DESTINATION: 2,
  TIME: 3,
  METADATA: 4,
  ROUTE_METADATA: 5,
  TLS: 6,
  REQUEST: 7,
  HTTP: 8,
  ID: 9,
  METHOD: 10,
  PATH: 11,
  HOST: 12,
  SCHEME: 13,
  PROTOCOL: 14,
  RAW_HEADERS: 15,
} as const;
export type Part = (typeof Part)[keyof typeof Part];
const noPositions = (): number[] => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const OF_CHECK_REQUEST = wanted({ 1: Part.ATTRIBUTES }, { once: true });
/** By field number of envoy.service.auth.v3.AttributeContext. */
const OF_ATTRIBUTES = wanted(
  { 1: Part.SOURCE, 2: Part.DESTINATION, 4: Part.REQUEST, 11: Part.METADATA, 12: Part.TLS, 13: Part.ROUTE_METADATA },
  { once: true },
);
const CONTEXT_EXTENSIONS = 10;
/** By field number of its Request. */
const OF_REQUEST = wanted({ 1: Part.TIME, 2: Part.HTTP }, { once: true });
/**
 * By field number of its HttpRequest; the last occurrence of a string counts. `header_map` is sent beside the plain headers or instead of
 * them.
 */
const OF_HTTP = wanted(
  { 1: Part.ID, 2: Part.METHOD, 4: Part.PATH, 5: Part.HOST, 6: Part.SCHEME, 10: Part.PROTOCOL, 13: Part.RAW_HEADERS },
  { once: false },
);
/** The singular messages, for {@link mergedParts} if one occurs twice. */
const SINGULAR = {
  1: { 1: 'leaf', 2: 'leaf', 4: { 1: 'leaf', 2: 'leaf' }, 11: 'leaf', 12: 'leaf', 13: 'leaf' },
} as const;
const PEER_ADDRESS = 1;
const SOCKET_ADDRESS = 1;

type PeerPart = typeof Part.SOURCE | typeof Part.DESTINATION;

export interface Socket {
  readonly address: string;
  readonly port: number | undefined;
}

function decodedSocket(peer: AttributeContext_Peer | undefined): Socket | undefined {
  const address = peer?.address?.address;
  if (address?.case !== 'socketAddress') return undefined;
  const { address: text, portSpecifier } = address.value;
  return { address: text, port: portSpecifier.case === 'portValue' ? portSpecifier.value : undefined };
}

export class CheckScan {
  bytes: Buffer;
  #positions = noPositions();

  /** `bytes` is a copy of the message alone. */
  #isOwn = false;
  /** The range of the message in `bytes`. */
  #from: number;
  #to: number;

  constructor(request: ByteRange) {
    this.bytes = asBuffer(request.bytes);
    this.#from = request.from;
    this.#to = request.to;
    if (this.#scan()) return;
    this.bytes = mergedParts(this.bytes, this.#from, this.#to, SINGULAR);
    this.#from = 0;
    this.#to = this.bytes.length;
    this.#positions = noPositions();
    this.#scan();
  }

  /** The size of the message in bytes. */
  get length(): number {
    return this.#to - this.#from;
  }

  has(part: Part): boolean {
    return this.#positions[part] !== 0;
  }

  from(part: Part): number {
    return this.#positions[part] as number;
  }

  to(part: Part): number {
    const from = this.#positions[part] as number;
    return from === 0 ? 0 : endOf(this.bytes, from);
  }

  /** `undefined` if it is absent or empty. */
  text(part: Part, cache?: CachedText): string | undefined {
    const from = this.from(part);
    const to = this.to(part);
    if (from === to) return undefined;
    return cache === undefined ? utf8Text(this.bytes, from, to) : cache.of(this.bytes, from, to);
  }

  /** Decoded field by field, on demand. */
  message<D extends DescMessage>(part: Part, schema: D): MessageShape<D> | undefined {
    return this.has(part) ? lazyMessage(schema, this.bytes, this.from(part), this.to(part)) : undefined;
  }

  /** A string of a part; `undefined` if it is absent or empty. */
  textIn(part: Part, number: number): string | undefined {
    return this.bytesIn(part, number)?.toString('utf8');
  }

  /** A view of a string or bytes of a part; `undefined` if it is absent or empty. */
  bytesIn(part: Part, number: number): Buffer | undefined {
    if (!this.has(part)) return undefined;
    const fields = this.fieldsOf(part);
    let [from, to] = [0, 0];
    for (let field = fields.next(); field !== 0; field = fields.next())
      if (field === number && fields.type === WireType.LEN) [from, to] = [fields.from, fields.to];
    return from === to ? undefined : this.bytes.subarray(from, to);
  }

  /** An int64 of a part; 0 if it is absent. */
  int64In(part: Part, number: number): bigint {
    if (!this.has(part)) return 0n;
    const fields = this.fieldsOf(part);
    let value = 0n;
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field === number && fields.type === WireType.VARINT)
        value = BigInt.asIntN(64, wideValue(this.bytes, fields.from, fields.to));
    }
    return value;
  }

  fieldsOf(part: Part): FieldScan {
    return new FieldScan(this.bytes, this.from(part), this.to(part));
  }

  /** A value of context_extensions. */
  extension(name: string): string | undefined {
    const fields = this.fieldsOf(Part.ATTRIBUTES);
    let found: string | undefined;
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field !== CONTEXT_EXTENSIONS || fields.type !== WireType.LEN) continue;
      const entry = wellFormedEntryOf(this.bytes, fields.from, fields.to);
      if (entry !== undefined && this.bytes.toString('utf8', entry.keyFrom, entry.keyTo) === name)
        found = this.bytes.toString('utf8', entry.valueFrom, entry.valueTo);
    }
    return found;
  }

  extensions(): ReadonlyMap<string, string> {
    const all = new Map<string, string>();
    const fields = this.fieldsOf(Part.ATTRIBUTES);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field !== CONTEXT_EXTENSIONS || fields.type !== WireType.LEN) continue;
      const entry = wellFormedEntryOf(this.bytes, fields.from, fields.to);
      if (entry === undefined) continue;
      const name = this.bytes.toString('utf8', entry.keyFrom, entry.keyTo);
      all.set(name, this.bytes.toString('utf8', entry.valueFrom, entry.valueTo));
    }
    return all;
  }

  /** The socket address of a peer, if it has one; a named port has no number. */
  socket(part: PeerPart): Socket | undefined {
    const socket = this.#socketRange(part);
    if (socket === 'unusual') return decodedSocket(this.message(part, AttributeContext_PeerSchema));
    return socket === undefined ? undefined : this.#socket(socket.from, socket.to);
  }

  /** The address of {@link socket}, parsed. */
  socketAddress<T>(part: PeerPart, addresses: ParsedTextCache<T>): T | undefined {
    const socket = this.#socketRange(part);
    if (socket === undefined) return undefined;
    if (socket === 'unusual') {
      const decoded = decodedSocket(this.message(part, AttributeContext_PeerSchema));
      if (decoded === undefined) return undefined;
      const text = Buffer.from(decoded.address);
      return addresses.of(text, 0, text.length);
    }
    const fields = new FieldScan(this.bytes, socket.from, socket.to);
    let from = 0;
    let to = 0;
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field !== 2 || fields.type !== WireType.LEN) continue;
      from = fields.from;
      to = fields.to;
    }
    return addresses.of(this.bytes, from, to);
  }

  #socketRange(part: PeerPart): { readonly from: number; readonly to: number } | 'unusual' | undefined {
    const address = this.#only(this.from(part), this.to(part), PEER_ADDRESS);
    return address === undefined || address === 'unusual'
      ? address
      : this.#only(address.from, address.to, SOCKET_ADDRESS, true);
  }

  /** Copies the message, so that it outlives the transport's buffer. Returns the number of bytes by which it moved to the front. */
  keep(): number {
    if (this.#isOwn) return 0;
    this.#isOwn = true;
    const by = this.#from;
    this.bytes = Buffer.from(this.bytes.subarray(by, this.#to));
    this.#positions = this.#positions.map((position) => (position === 0 ? 0 : position - by));
    this.#from = 0;
    this.#to -= by;
    return by;
  }

  /** The only message of a field number. `unusual`: it occurs again, or (in a oneof: `isChoice`) with others. */
  #only(
    from: number,
    to: number,
    number: number,
    isChoice = false,
  ): { readonly from: number; readonly to: number } | 'unusual' | undefined {
    if (from === to) return undefined;
    const fields = new FieldScan(this.bytes, from, to);
    let found: { from: number; to: number } | undefined;
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (fields.type !== WireType.LEN || (field !== number && !isChoice)) continue;
      if (field !== number || found !== undefined) return 'unusual';
      found = { from: fields.from, to: fields.to };
    }
    return found;
  }

  #socket(from: number, to: number): Socket {
    const fields = new FieldScan(this.bytes, from, to);
    let address = '';
    let port: number | undefined;
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field === 2 && fields.type === WireType.LEN) address = this.bytes.toString('utf8', fields.from, fields.to);
      else if (field === 3 && fields.type === WireType.VARINT) port = fields.value;
      else if (field === 4 && fields.type === WireType.LEN) port = undefined;
    }
    return { address, port };
  }

  /** False: a singular message occurs twice. */
  #scan(): boolean {
    const { bytes } = this;
    const positions = this.#positions;
    if (!locateFields(bytes, this.#from, this.#to, OF_CHECK_REQUEST, positions)) return false;
    if (!this.has(Part.ATTRIBUTES)) throw new GrpcError(Status.INVALID_ARGUMENT, 'the CheckRequest has no attributes');
    return (
      locateFields(bytes, this.from(Part.ATTRIBUTES), this.to(Part.ATTRIBUTES), OF_ATTRIBUTES, positions) &&
      locateFields(bytes, this.from(Part.REQUEST), this.to(Part.REQUEST), OF_REQUEST, positions) &&
      locateFields(bytes, this.from(Part.HTTP), this.to(Part.HTTP), OF_HTTP, positions)
    );
  }
}
