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
import { endOf, FieldScan, locateFields, type Wanted, wanted, wideValue, WireType } from '../../protobuf/scan.ts';

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
/** Where {@link CheckScan} finds the socket address of a peer: the field itself, and the others of its oneof. */
const FOUND = { THIS: 0, OTHER: 1 } as const;
const found = [0, 0];
const UNUSUAL = -1;
/** By field number of a Peer, of its Address (a oneof), and of its SocketAddress. */
const OF_PEER = wanted({ 1: FOUND.THIS }, { once: true });
const OF_ADDRESS = wanted({ 1: FOUND.THIS, 2: FOUND.OTHER, 3: FOUND.OTHER }, { once: true });
const OF_SOCKET = wanted({ 2: FOUND.THIS }, { once: false });

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
    const socket = this.#socketAt(part);
    if (socket === UNUSUAL) return decodedSocket(this.message(part, AttributeContext_PeerSchema));
    return socket === 0 ? undefined : this.#socket(socket, endOf(this.bytes, socket));
  }

  /** The address of {@link socket}, parsed. */
  socketAddress<T>(part: PeerPart, addresses: ParsedTextCache<T>): T | undefined {
    const socket = this.#socketAt(part);
    if (socket === 0) return undefined;
    if (socket === UNUSUAL) {
      const decoded = decodedSocket(this.message(part, AttributeContext_PeerSchema));
      if (decoded === undefined) return undefined;
      const text = Buffer.from(decoded.address);
      return addresses.of(text, 0, text.length);
    }
    const text = this.#only(socket, OF_SOCKET);
    return addresses.of(this.bytes, text, text === 0 ? 0 : endOf(this.bytes, text));
  }

  /** Where the socket address of a peer begins; 0: it has none. {@link UNUSUAL}: it must be decoded. */
  #socketAt(part: PeerPart): number {
    const address = this.#only(this.from(part), OF_PEER);
    return address === UNUSUAL ? UNUSUAL : this.#only(address, OF_ADDRESS);
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

  /** Where the wanted field of a message begins; 0: it is absent. {@link UNUSUAL}: it occurs again, or with others of its oneof. */
  #only(message: number, fields: Wanted): number {
    if (message === 0) return 0;
    found[FOUND.THIS] = found[FOUND.OTHER] = 0;
    const isOnly = locateFields(this.bytes, message, endOf(this.bytes, message), fields, found);
    return isOnly && found[FOUND.OTHER] === 0 ? (found[FOUND.THIS] as number) : UNUSUAL;
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
