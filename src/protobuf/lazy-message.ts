/**
 * A protobuf message that is decoded field by field, on demand, in the type of a full decode.
 * **In**: bytes. **Out**: an object with the fields of the generated type; strings, numbers and nested messages are read from the bytes at
 * each access. Bytes that are not UTF-8 in a string become U+FFFD. **Fails**: with a `Malformed` when a malformed field is read; the other
 * fields, and the other entries of a map, can still be read.
 *
 * Rare forms (a message that occurs twice and must be merged) and rare reads (lists, maps of messages) are decoded by the library, once,
 * from the bytes of that field only.
 */
import {
  type DescField,
  type DescMessage,
  type DescOneof,
  fromBinary,
  type MessageShape,
  ScalarType,
} from '@bufbuild/protobuf';
import { FieldDescriptorProto_Label, isWrapperDesc, StructSchema } from '@bufbuild/protobuf/wkt';
import { messageOf } from '../text/message-of.ts';
import { wellFormedEntryOf } from './header-map.ts';
import { lenientSchema } from './lenient-schema.ts';
import { Malformed } from './malformed.ts';
import { FieldScan, WireType, wideValue } from './scan.ts';

/** Decodes the last occurrence of a field. */
type Reading = (bytes: Buffer, last: FieldScan) => unknown;

const VIEWS = new Map<DescMessage, typeof View>();

/** The bytes must not change while the message is in use. */
export function lazyMessage<D extends DescMessage>(
  schema: D,
  bytes: Buffer,
  from: number,
  to: number,
): MessageShape<D> {
  const Known = VIEWS.get(schema) ?? viewClassOf(schema);
  return new Known(bytes, from, to) as unknown as MessageShape<D>;
}

class View {
  readonly #bytes: Buffer;
  readonly #from: number;
  readonly #to: number;
  /** Members that the library has decoded, by name. */
  #decoded: Map<string, unknown> | undefined;

  constructor(bytes: Buffer, from: number, to: number) {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
  }

  /** Decodes a member from the fields with these numbers only. */
  decoded(schema: DescMessage, localName: string, numbers: ReadonlySet<number>): unknown {
    const known = this.#decoded?.get(localName);
    if (known !== undefined) return known;
    const records: Uint8Array[] = [];
    const fields = new FieldScan(this.#bytes, this.#from, this.#to);
    for (let begin = this.#from, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
      if (numbers.has(field)) records.push(this.#bytes.subarray(begin, fields.at));
    }
    return this.#keep(localName, decodedMember(schema, localName, records));
  }

  /** A map of messages; each value is decoded when it is read. */
  messageMap(schema: DescMessage, { number, localName }: DescField): unknown {
    const known = this.#decoded?.get(localName);
    if (known !== undefined) return known;
    const map: Record<string, unknown> = {};
    const fields = new FieldScan(this.#bytes, this.#from, this.#to);
    for (let begin = this.#from, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
      const entry =
        field === number && fields.type === WireType.LEN
          ? wellFormedEntryOf(this.#bytes, fields.from, fields.to)
          : undefined;
      if (entry === undefined) continue;
      const key = this.#bytes.toString('utf8', entry.keyFrom, entry.keyTo);
      const record = this.#bytes.subarray(begin, fields.at);
      let value: unknown;
      const get = (): unknown =>
        (value ??= (decodedMember(schema, localName, [record]) as Readonly<Record<string, unknown>>)[key]);
      Object.defineProperty(map, key, { get, enumerable: true, configurable: true });
    }
    return this.#keep(localName, map);
  }

  #keep(localName: string, value: unknown): unknown {
    (this.#decoded ??= new Map()).set(localName, value);
    return value;
  }

  singular(
    schema: DescMessage,
    { number, localName, fieldKind }: DescField,
    type: number,
    absent: unknown,
    reading: Reading,
  ): unknown {
    const bytes = this.#bytes;
    const fields = new FieldScan(bytes, this.#from, this.#to);
    let value = absent;
    let isPresent = false;
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field !== number || fields.type !== type) continue;
      if (isPresent && fieldKind === 'message') return this.decoded(schema, localName, new Set([number]));
      isPresent = true;
      value = reading(bytes, fields);
    }
    return value;
  }

  textMap(number: number): Record<string, string> {
    const map: Record<string, string> = {};
    const fields = new FieldScan(this.#bytes, this.#from, this.#to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field !== number || fields.type !== WireType.LEN) continue;
      const entry = wellFormedEntryOf(this.#bytes, fields.from, fields.to);
      if (entry === undefined) continue;
      const key = this.#bytes.toString('utf8', entry.keyFrom, entry.keyTo);
      const value = this.#bytes.toString('utf8', entry.valueFrom, entry.valueTo);
      if (key === '__proto__')
        Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
      else map[key] = value;
    }
    return map;
  }

  /** The set member of a oneof; if several are set, a full decode decides. */
  choice(schema: DescMessage, localName: string, members: ReadonlyMap<number, Member>): unknown {
    const fields = new FieldScan(this.#bytes, this.#from, this.#to);
    let found: { readonly case: string; readonly value: unknown } | undefined;
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      const member = members.get(field);
      if (member === undefined || member.type !== fields.type) continue;
      if (found !== undefined || member.reading === undefined)
        return this.decoded(schema, localName, new Set(members.keys()));
      found = { case: member.name, value: member.reading(this.#bytes, fields) };
    }
    return found ?? { case: undefined };
  }
}

/** Decodes a message from these fields only. */
function decodedMember(schema: DescMessage, localName: string, records: readonly Uint8Array[]): unknown {
  const { buffer, byteOffset, length } = Buffer.concat(records);
  return (
    wholeMessage(schema, new Uint8Array(buffer, byteOffset, length)) as unknown as Readonly<Record<string, unknown>>
  )[localName];
}

interface Member {
  readonly name: string;
  readonly type: number;
  readonly reading: Reading | undefined;
}

function viewClassOf(schema: DescMessage): typeof View {
  const Own = class extends View {};
  for (const member of schema.members) {
    Object.defineProperty(Own.prototype, member.localName, {
      get: member.kind === 'oneof' ? choiceGetter(schema, member) : fieldGetter(schema, member),
    });
  }
  VIEWS.set(schema, Own);
  return Own;
}

function choiceGetter(schema: DescMessage, { localName, fields }: DescOneof): (this: View) => unknown {
  const members = new Map(
    fields.map((field): [number, Member] => {
      const inPlace = inPlaceReading(field);
      return [field.number, { name: field.localName, type: inPlace?.type ?? WireType.LEN, reading: inPlace?.reading }];
    }),
  );
  return function choice(this: View): unknown {
    return this.choice(schema, localName, members);
  };
}

function fieldGetter(schema: DescMessage, field: DescField): (this: View) => unknown {
  if (
    field.fieldKind === 'map' &&
    field.mapKey === ScalarType.STRING &&
    field.mapKind === 'scalar' &&
    field.scalar === ScalarType.STRING
  ) {
    return function textMap(this: View): unknown {
      return this.textMap(field.number);
    };
  }
  if (field.fieldKind === 'map' && field.mapKey === ScalarType.STRING && field.mapKind === 'message') {
    return function messageMap(this: View): unknown {
      return this.messageMap(schema, field);
    };
  }
  const inPlace = inPlaceReading(field);
  if (inPlace === undefined) {
    const numbers = new Set([field.number]);
    return function alone(this: View): unknown {
      return this.decoded(schema, field.localName, numbers);
    };
  }
  const { type, absent, reading } = inPlace;
  return function singular(this: View): unknown {
    return this.singular(schema, field, type, absent, reading);
  };
}

/** How a field is read in place; `undefined` if the library decodes it. */
function inPlaceReading(
  field: DescField,
): { readonly type: number; readonly absent: unknown; readonly reading: Reading } | undefined {
  // An optional scalar may be absent, which differs from its zero.
  if (
    field.fieldKind !== 'message' &&
    field.oneof === undefined &&
    (field.proto.proto3Optional || field.proto.label !== FieldDescriptorProto_Label.OPTIONAL)
  )
    return undefined;
  switch (field.fieldKind) {
    case 'message': {
      const { message } = field;
      if (field.delimitedEncoding || isWrapperDesc(message) || message.typeName === StructSchema.typeName)
        return undefined;
      return {
        type: WireType.LEN,
        absent: undefined,
        reading: (bytes, { from, to }) => lazyMessage(message, bytes, from, to),
      };
    }
    case 'enum':
      return { type: WireType.VARINT, absent: 0, reading: (_, { value }) => value | 0 };
    case 'scalar': {
      if (field.scalar === ScalarType.STRING)
        return { type: WireType.LEN, absent: '', reading: (bytes, { from, to }) => bytes.toString('utf8', from, to) };
      const reading = field.longAsString ? undefined : VARINTS.get(field.scalar);
      return reading === undefined
        ? undefined
        : { type: WireType.VARINT, absent: reading.absent, reading: reading.reading };
    }
    case 'list':
    case 'map':
      return undefined;
  }
}

const VARINTS: ReadonlyMap<ScalarType, { readonly absent: unknown; readonly reading: Reading }> = new Map<
  ScalarType,
  { readonly absent: unknown; readonly reading: Reading }
>([
  [ScalarType.UINT32, { absent: 0, reading: (_, { value }) => value }],
  [ScalarType.INT32, { absent: 0, reading: (_, { value }) => value | 0 }],
  [
    ScalarType.BOOL,
    { absent: false, reading: (bytes, { value, from, to }) => value !== 0 || wideValue(bytes, from, to) !== 0n },
  ],
  [ScalarType.UINT64, { absent: 0n, reading: (bytes, { from, to }) => BigInt.asUintN(64, wideValue(bytes, from, to)) }],
  [ScalarType.INT64, { absent: 0n, reading: (bytes, { from, to }) => BigInt.asIntN(64, wideValue(bytes, from, to)) }],
]);

const OPTIONS = { readUnknownFields: false } as const;

/** A full decode; strict first, since the lenient schema has to be built. Throws {@link Malformed} for any other bytes. */
function wholeMessage<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes, OPTIONS);
  } catch {
    try {
      return fromBinary(lenientSchema(schema), bytes, OPTIONS);
    } catch (error) {
      throw new Malformed(`the request is not a ${schema.typeName}: ${messageOf(error)}`, { cause: error });
    }
  }
}
