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
import { messageOf } from '../text/message-of.ts';
import { wellFormedEntryOf } from './header-map.ts';
import { inPlaceReading, type Reading, tagOf } from './in-place.ts';
import { lenientSchema } from './lenient-schema.ts';
import { Malformed } from './malformed.ts';
import { FieldScan, WireType } from './scan.ts';

type MakeView = (bytes: Buffer, from: number, to: number) => View;
const MAKERS = new Map<DescMessage, MakeView>();

/** The bytes must not change while the message is in use. */
export function lazyMessage<D extends DescMessage>(
  schema: D,
  bytes: Buffer,
  from: number,
  to: number,
): MessageShape<D> {
  return makerOf(schema)(bytes, from, to) as unknown as MessageShape<D>;
}

/**
 * A message of one schema, whose prototype has a getter for each member. Ordinary properties, since private ones take twice the time to
 * make; no member of a message has a name with $.
 */
interface View {
  readonly $bytes: Buffer;
  readonly $from: number;
  readonly $to: number;
  /** Members that the library has decoded, by name. */
  $decoded: Map<string, unknown> | undefined;
  /** Tag, begin and end of each field, one after the other. Made at the second read, since of many messages only one field is read. */
  $fields: number[] | undefined;
  $isRead: boolean;
}

/** The base of all views is none: a derived class would take twice the time to construct. */
const viewClass = () =>
  class implements View {
    readonly $bytes: Buffer;
    readonly $from: number;
    readonly $to: number;
    $decoded: Map<string, unknown> | undefined = undefined;
    $fields: number[] | undefined = undefined;
    $isRead = false;

    constructor(bytes: Buffer, from: number, to: number) {
      this.$bytes = bytes;
      this.$from = from;
      this.$to = to;
    }
  };

/** Where a message of {@link lazyMessage} is; `undefined` for another. Throws a `Malformed` if one of its fields is malformed. */
export function rangeOfLazy(
  message: object,
): { readonly bytes: Buffer; readonly from: number; readonly to: number } | undefined {
  if (!('$bytes' in message)) return undefined;
  const view = message as View;
  fieldsOf(view);
  return { bytes: view.$bytes, from: view.$from, to: view.$to };
}

function fieldsOf(view: View): readonly number[] {
  if (view.$fields !== undefined) return view.$fields;
  const all: number[] = [];
  const fields = new FieldScan(view.$bytes, view.$from, view.$to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (fields.type === WireType.LEN || fields.type === WireType.VARINT)
      all.push(tagOf(field, fields.type), fields.from, fields.to);
  return (view.$fields = all);
}

/** Decodes a member from the fields with these numbers only. */
function decoded(view: View, schema: DescMessage, localName: string, numbers: ReadonlySet<number>): unknown {
  const known = view.$decoded?.get(localName);
  if (known !== undefined) return known;
  const records: Uint8Array[] = [];
  const fields = new FieldScan(view.$bytes, view.$from, view.$to);
  for (let begin = view.$from, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
    if (numbers.has(field)) records.push(view.$bytes.subarray(begin, fields.at));
  }
  return keep(view, localName, decodedMember(schema, localName, records));
}

/** A map of messages; each value is decoded when it is read. */
function messageMap(view: View, schema: DescMessage, { number, localName }: DescField): unknown {
  const known = view.$decoded?.get(localName);
  if (known !== undefined) return known;
  const map: Record<string, unknown> = {};
  const { $bytes: bytes, $from, $to } = view;
  const fields = new FieldScan(bytes, $from, $to);
  for (let begin = $from, field = fields.next(); field !== 0; begin = fields.at, field = fields.next()) {
    const entry =
      field === number && fields.type === WireType.LEN ? wellFormedEntryOf(bytes, fields.from, fields.to) : undefined;
    if (entry === undefined) continue;
    const key = bytes.toString('utf8', entry.keyFrom, entry.keyTo);
    const record = bytes.subarray(begin, fields.at);
    let value: unknown;
    const get = (): unknown =>
      (value ??= (decodedMember(schema, localName, [record]) as Readonly<Record<string, unknown>>)[key]);
    Object.defineProperty(map, key, { get, enumerable: true, configurable: true });
  }
  return keep(view, localName, map);
}

function keep(view: View, localName: string, value: unknown): unknown {
  (view.$decoded ??= new Map()).set(localName, value);
  return value;
}

interface Singular {
  readonly schema: DescMessage;
  readonly localName: string;
  readonly number: number;
  readonly tag: number;
  /** A message that occurs twice is merged. */
  readonly merges: boolean;
  readonly absent: unknown;
  readonly reading: Reading;
}

function singular(view: View, field: Singular): unknown {
  const { tag, merges, absent, reading } = field;
  let from = -1;
  let to = -1;
  let times = 0;
  if (view.$isRead) {
    const fields = fieldsOf(view);
    for (let at = 0; at < fields.length; at += 3) {
      if (fields[at] !== tag) continue;
      times++;
      from = fields[at + 1] as number;
      to = fields[at + 2] as number;
    }
  } else {
    view.$isRead = true;
    const fields = new FieldScan(view.$bytes, view.$from, view.$to);
    for (let number = fields.next(); number !== 0; number = fields.next()) {
      if (tagOf(number, fields.type) !== tag) continue;
      times++;
      from = fields.from;
      to = fields.to;
    }
  }
  if (times === 0) return absent;
  if (merges && times > 1) return decoded(view, field.schema, field.localName, new Set([field.number]));
  return reading(view.$bytes, from, to);
}

function textMap(view: View, tag: number): Record<string, string> {
  const map: Record<string, string> = {};
  const { $bytes: bytes } = view;
  const fields = fieldsOf(view);
  for (let at = 0; at < fields.length; at += 3) {
    if (fields[at] !== tag) continue;
    const entry = wellFormedEntryOf(bytes, fields[at + 1] as number, fields[at + 2] as number);
    if (entry === undefined) continue;
    const key = bytes.toString('utf8', entry.keyFrom, entry.keyTo);
    const value = bytes.toString('utf8', entry.valueFrom, entry.valueTo);
    if (key === '__proto__')
      Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
    else map[key] = value;
  }
  return map;
}

/** The set member of a oneof; if several are set, a full decode decides. */
function choice(view: View, schema: DescMessage, localName: string, members: ReadonlyMap<number, Member>): unknown {
  const fields = new FieldScan(view.$bytes, view.$from, view.$to);
  let found: { readonly case: string; readonly value: unknown } | undefined;
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    const member = members.get(field);
    if (member === undefined || member.type !== fields.type) continue;
    if (found !== undefined || member.reading === undefined)
      return decoded(view, schema, localName, new Set(members.keys()));
    found = { case: member.name, value: member.reading(view.$bytes, fields.from, fields.to) };
  }
  return found ?? { case: undefined };
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

function makerOf(schema: DescMessage): MakeView {
  const known = MAKERS.get(schema);
  if (known !== undefined) return known;
  const Own = viewClass();
  for (const member of schema.members) {
    Object.defineProperty(Own.prototype, member.localName, {
      get: member.kind === 'oneof' ? choiceGetter(schema, member) : fieldGetter(schema, member),
    });
  }
  const make: MakeView = (bytes, from, to) => new Own(bytes, from, to);
  MAKERS.set(schema, make);
  return make;
}

function choiceGetter(schema: DescMessage, { localName, fields }: DescOneof): (this: View) => unknown {
  const members = new Map(
    fields.map((field): [number, Member] => {
      const inPlace = inPlaceReading(field, makerOf);
      return [field.number, { name: field.localName, type: inPlace?.type ?? WireType.LEN, reading: inPlace?.reading }];
    }),
  );
  return function readChoice(this: View): unknown {
    return choice(this, schema, localName, members);
  };
}

function fieldGetter(schema: DescMessage, field: DescField): (this: View) => unknown {
  const { number, localName } = field;
  if (
    field.fieldKind === 'map' &&
    field.mapKey === ScalarType.STRING &&
    field.mapKind === 'scalar' &&
    field.scalar === ScalarType.STRING
  ) {
    return function readTextMap(this: View): unknown {
      return textMap(this, tagOf(number, WireType.LEN));
    };
  }
  if (field.fieldKind === 'map' && field.mapKey === ScalarType.STRING && field.mapKind === 'message') {
    return function readMessageMap(this: View): unknown {
      return messageMap(this, schema, field);
    };
  }
  const inPlace = inPlaceReading(field, makerOf);
  if (inPlace === undefined) {
    const numbers = new Set([number]);
    return function readDecoded(this: View): unknown {
      return decoded(this, schema, localName, numbers);
    };
  }
  const { type, absent, reading } = inPlace;
  const one: Singular = {
    schema,
    localName,
    number,
    tag: tagOf(number, type),
    merges: field.fieldKind === 'message',
    absent,
    reading,
  };
  return function readSingular(this: View): unknown {
    return singular(this, one);
  };
}

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
