/**
 * Typed values (`sluice.plugin.v1.Value`).
 * **In**: JavaScript values of a shape, or bytes. **Out**: bytes, or the JavaScript values that {@link ShapeValues} says.
 * **Fails**: writing with a {@link CannotCross}; reading with a {@link Malformed}, or an {@link OutOfRange} that concerns this value alone.
 */
import type { Buffer } from 'node:buffer';
import type { Shape, ShapeType } from '../../contract.ts';
import { Malformed } from '../../../protobuf/malformed.ts';
import { FieldScan, WireType, wideValue } from '../../../protobuf/scan.ts';
import { utf8Text } from '../../../protobuf/utf8-text.ts';
import type { ProtobufWriter } from '../../../protobuf/writer.ts';
import { CannotCross } from './cannot-cross.ts';
import type { FieldCodec } from './fields.ts';

/** A well-formed value that JavaScript cannot hold exactly. */
export class OutOfRange extends Malformed {
  constructor(what: string) {
    super(what);
    this.name = 'OutOfRange';
  }
}

const MAX_DEPTH = 32;
const Kind = {
  STRING: 1,
  INT64: 2,
  DOUBLE: 3,
  BOOL: 4,
  BYTES: 5,
  TIMESTAMP: 6,
  DURATION: 7,
  IP: 8,
  LIST: 9,
  MAP: 10,
  NULL: 11,
} as const;
const ANY = 'any' satisfies ShapeType;

type Values = Readonly<Record<string, unknown>>;

// ---------------------------------------------------------------- writing

/** A `map<string, Value>`; absent values are left out. `shape`: the types of its names, `any` where it has none. */
function writeValues(
  writer: ProtobufWriter,
  number: number,
  values: Values,
  shape: Shape | 'any',
  path = '',
  depth = 0,
): void {
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (value === undefined) continue;
    const begun = writer.begin(number);
    writer.text(1, name);
    const type = shape === ANY ? ANY : (shape[name] ?? ANY);
    writeValue(writer, 2, value, bare(type), path === '' ? name : `${path}.${name}`, depth);
    writer.end(begun);
  }
}

/** A type without the `?` of an optional one. */
const bare = (type: string): ShapeType => (type.endsWith('?') ? type.slice(0, -1) : type) as ShapeType;

/** A value that does not fit its declared type is sent with its actual type; the receiver reports the mismatch. */
function writeValue(
  writer: ProtobufWriter,
  number: number,
  value: unknown,
  type: ShapeType,
  path = '',
  depth = 0,
): void {
  const begun = writer.begin(number);
  if (typeof value === 'string') writer.item(type === 'ip' ? Kind.IP : Kind.STRING, value);
  else if (typeof value === 'number') writeNumber(writer, value, type);
  else if (typeof value === 'boolean') writer.long(Kind.BOOL, value ? 1 : 0);
  else if (typeof value === 'bigint') writeBigInt(writer, value, path);
  else if (value === null || value === undefined) writer.long(Kind.NULL, 0);
  else if (value instanceof Uint8Array) writer.message(Kind.BYTES, value);
  else if (value instanceof Date) writeDate(writer, value, path);
  else writeStructure(writer, value, path, depth + 1);
  writer.end(begun);
}

function writeNumber(writer: ProtobufWriter, value: number, type: ShapeType): void {
  if (type === 'duration' && Number.isFinite(value))
    return writeSpan(writer, Kind.DURATION, value, Math.trunc(value / 1000));
  const isWhole = type !== 'double' && Number.isSafeInteger(value) && !Object.is(value, -0);
  if (isWhole) writer.long(Kind.INT64, value);
  else writer.double(Kind.DOUBLE, value);
}

function writeBigInt(writer: ProtobufWriter, value: bigint, path: string): void {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new CannotCross(path, `${value}, a whole number beyond 2^53`);
  writer.long(Kind.INT64, number);
}

function writeDate(writer: ProtobufWriter, value: Date, path: string): void {
  const ms = value.getTime();
  if (Number.isNaN(ms)) throw new CannotCross(path, 'an invalid date');
  writeSpan(writer, Kind.TIMESTAMP, ms, Math.floor(ms / 1000));
}

/** google.protobuf.Timestamp and Duration have the same fields. */
function writeSpan(writer: ProtobufWriter, kind: number, ms: number, seconds: number): void {
  const begun = writer.begin(kind);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  const carry = Math.trunc(nanos / 1e9);
  if (seconds + carry !== 0) writer.long(1, seconds + carry);
  if (nanos !== carry * 1e9) writer.long(2, nanos - carry * 1e9);
  writer.end(begun);
}

function writeStructure(writer: ProtobufWriter, value: object | symbol, path: string, depth: number): void {
  if (depth > MAX_DEPTH) throw new CannotCross(path, `nested more than ${MAX_DEPTH} deep`);
  if (Array.isArray(value)) {
    const begun = writer.begin(Kind.LIST);
    value.forEach((item: unknown, at) => writeValue(writer, 1, item, ANY, `${path}[${at}]`, depth));
    return writer.end(begun);
  }
  if (!isPlain(value)) throw new CannotCross(path, nameOf(value));
  const begun = writer.begin(Kind.MAP);
  writeValues(writer, 1, value, ANY, path, depth);
  writer.end(begun);
}

function isPlain(value: object | symbol): value is Values {
  if (typeof value !== 'object') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

const nameOf = (value: object | symbol): string =>
  typeof value === 'object' ? `an object of the class ${value.constructor?.name ?? 'unknown'}` : `a ${typeof value}`;

// ---------------------------------------------------------------- reading

function readValue(bytes: Buffer, from: number, to: number, depth = 0): unknown {
  let value: unknown = null;
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    const { type } = fields;
    if (type === WireType.LEN) value = lengthDelimited(bytes, field, fields, value, depth);
    else if (type === WireType.VARINT) value = varint(bytes, field, fields, value);
    else if (type === WireType.I64 && field === Kind.DOUBLE) value = bytes.readDoubleLE(fields.at - 8);
  }
  return value;
}

function lengthDelimited(
  bytes: Buffer,
  kind: number,
  { from, to }: FieldScan,
  before: unknown,
  depth: number,
): unknown {
  switch (kind) {
    case Kind.STRING:
    case Kind.IP:
      return utf8Text(bytes, from, to);
    case Kind.BYTES:
      return new Uint8Array(bytes.subarray(from, to));
    case Kind.TIMESTAMP:
      return dateOf(readSpan(bytes, from, to));
    case Kind.DURATION:
      return readSpan(bytes, from, to);
    case Kind.LIST:
      return readList(bytes, from, to, depth + 1);
    case Kind.MAP:
      return readMap(bytes, from, to, depth + 1);
    default:
      return before;
  }
}

function varint(bytes: Buffer, kind: number, { from, to, value }: FieldScan, before: unknown): unknown {
  if (kind === Kind.NULL) return null;
  if (kind !== Kind.INT64 && kind !== Kind.BOOL) return before;
  if (kind === Kind.BOOL) return value !== 0;
  if (to - from <= 4) return value;
  const wide = BigInt.asIntN(64, wideValue(bytes, from, to));
  const number = Number(wide);
  if (!Number.isSafeInteger(number)) throw new OutOfRange(`a whole number is ${wide}; at most 2^53 is allowed`);
  return number;
}

/** In ms. */
function readSpan(bytes: Buffer, from: number, to: number): number {
  let seconds = 0n;
  let nanos = 0;
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (fields.type !== WireType.VARINT) continue;
    if (field === 1) seconds = BigInt.asIntN(64, wideValue(bytes, fields.from, fields.to));
    else if (field === 2) nanos = fields.value | 0;
  }
  return Number(seconds) * 1000 + nanos / 1e6;
}

function dateOf(ms: number): Date {
  const date = new Date(Math.floor(ms));
  if (Number.isNaN(date.getTime())) throw new OutOfRange('a timestamp is outside of the years that a date can have');
  return date;
}

function readList(bytes: Buffer, from: number, to: number, depth: number): unknown[] {
  if (depth > MAX_DEPTH) throw new OutOfRange(`a value is nested more than ${MAX_DEPTH} deep`);
  const items: unknown[] = [];
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === 1 && fields.type === WireType.LEN) items.push(readValue(bytes, fields.from, fields.to, depth));
  return items;
}

function readMap(bytes: Buffer, from: number, to: number, depth: number): Values {
  if (depth > MAX_DEPTH) throw new OutOfRange(`a value is nested more than ${MAX_DEPTH} deep`);
  const map: Record<string, unknown> = {};
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next())
    if (field === 1 && fields.type === WireType.LEN) readEntry(bytes, fields.from, fields.to, map, depth);
  return map;
}

function readEntry(bytes: Buffer, from: number, to: number, into: Record<string, unknown>, depth: number): void {
  let name = '';
  let value: unknown = null;
  const fields = new FieldScan(bytes, from, to);
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (fields.type !== WireType.LEN) continue;
    if (field === 1) name = utf8Text(bytes, fields.from, fields.to);
    else if (field === 2) value = readValue(bytes, fields.from, fields.to, depth);
  }
  if (name === '__proto__')
    Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true });
  else into[name] = value;
}

// ---------------------------------------------------------------- as fields of messages

/** `undefined` where it is absent. */
export const anyValue: FieldCodec<unknown> = {
  wireType: WireType.LEN,
  absent: () => undefined,
  write: (writer, number, value) => writeValue(writer, number, value, ANY),
  read: (bytes, { from, to }) => readValue(bytes, from, to),
};

/** A `map<string, Value>`. `shapeOf`: the types of its names, by the message that holds it. */
export const valuesBy = <M extends object>(shapeOf: (message: M) => Shape | 'any'): FieldCodec<Values> => ({
  wireType: WireType.LEN,
  absent: () => ({}),
  write: (writer, number, values, holder) => writeValues(writer, number, values, shapeOf(holder as M)),
  read(bytes, { from, to }, before) {
    readEntry(bytes, from, to, before as Record<string, unknown>, 0);
    return before;
  },
});

/** The same; `undefined` where it is empty. */
export const maybeValuesBy = <M extends object>(
  shapeOf: (message: M) => Shape | 'any',
): FieldCodec<Values | undefined> => ({
  wireType: WireType.LEN,
  absent: () => undefined,
  write(writer, number, values, holder) {
    if (values !== undefined) writeValues(writer, number, values, shapeOf(holder as M));
  },
  read(bytes, { from, to }, before = {}) {
    readEntry(bytes, from, to, before as Record<string, unknown>, 0);
    return before;
  },
});
