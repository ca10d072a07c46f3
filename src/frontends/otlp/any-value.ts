/**
 * opentelemetry.proto.common.v1.AnyValue, checked when a record arrives, and decoded when a rule reads it.
 * **In**: bytes. **Out**: values of attributes. **Fails**: with a `Malformed`, also for values that are nested too deeply.
 */
import type { Json } from '../../attributes/json-value.ts';
import { canonicalInt, type Value } from '../../attributes/values.ts';
import { Malformed } from '../../protobuf/malformed.ts';
import { FieldScan, wideValue, WireType } from '../../protobuf/scan.ts';
import { utf8Text } from '../../protobuf/utf8-text.ts';
import { KEY_VALUE } from './key-value.ts';

export const AnyCase = { NONE: 0, STRING: 1, BOOL: 2, INT: 3, DOUBLE: 4, ARRAY: 5, KVLIST: 6, BYTES: 7 } as const;
const WIRE_TYPES = [
  -1,
  WireType.LEN,
  WireType.VARINT,
  WireType.VARINT,
  WireType.I64,
  WireType.LEN,
  WireType.LEN,
  WireType.LEN,
];
/** Of an ArrayValue and of a KeyValueList. */
export const VALUES = 1;
const STRING_TAG = (AnyCase.STRING << 3) | WireType.LEN;
/** Of lists and maps in each other. */
export const MAX_DEPTH = 32;

/** The set member of an AnyValue and its range; shared, as {@link KEY_VALUE} is. */
class AnyValueCursor {
  case = 0;
  from = 0;
  to = 0;
  /** Set when one was read whose array or map was sent in parts, of which the range is the last; merged-record.ts resets it. */
  hasParts = false;

  isMember(field: number, type: number): boolean {
    return WIRE_TYPES[field] === type;
  }

  read(bytes: Uint8Array, from: number, to: number): void {
    if (from + 1 < to && bytes[from] === STRING_TAG) {
      const length = bytes[from + 1] as number;
      this.case = AnyCase.STRING;
      this.to = to;
      if (length < 0x80 && from + 2 + length === to) {
        this.from = from + 2;
        return;
      }
      const high = bytes[from + 2] as number;
      if (length >= 0x80 && high < 0x80 && from + 3 + (length & 0x7f) + (high << 7) === to) {
        this.from = from + 3;
        return;
      }
    }
    this.case = AnyCase.NONE;
    const fields = new FieldScan(bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (!this.isMember(field, fields.type)) continue;
      if (field === this.case && (field === AnyCase.ARRAY || field === AnyCase.KVLIST)) this.hasParts = true;
      this.case = field;
      this.from = fields.type === WireType.I64 ? fields.at - 8 : fields.from;
      this.to = fields.type === WireType.I64 ? fields.at : fields.to;
    }
  }
}

export const ANY_VALUE = new AnyValueCursor();

/** Throws a {@link Malformed} if the value, or one inside it, cannot be decoded. */
export function checkAnyValue(bytes: Uint8Array, from: number, to: number, depth = 0): void {
  ANY_VALUE.read(bytes, from, to);
  if (ANY_VALUE.case !== AnyCase.ARRAY && ANY_VALUE.case !== AnyCase.KVLIST) return;
  if (depth >= MAX_DEPTH) throw new Malformed(`a value is nested deeper than ${MAX_DEPTH} levels`);
  const isMap = ANY_VALUE.case === AnyCase.KVLIST;
  const items = new FieldScan(bytes, ANY_VALUE.from, ANY_VALUE.to);
  for (let field = items.next(); field !== 0; field = items.next()) {
    if (field !== VALUES || items.type !== WireType.LEN) continue;
    if (isMap) checkKeyValue(bytes, items.from, items.to, depth + 1);
    else checkAnyValue(bytes, items.from, items.to, depth + 1);
  }
}

export function checkKeyValue(bytes: Uint8Array, from: number, to: number, depth = 0): void {
  KEY_VALUE.read(bytes, from, to);
  checkAnyValue(bytes, KEY_VALUE.valueFrom, KEY_VALUE.valueTo, depth);
}

/** Calls `each` with the range of every item of a list or a map. */
export function eachItem(bytes: Uint8Array, from: number, to: number, each: (from: number, to: number) => void): void {
  const items = new FieldScan(bytes, from, to);
  for (let field = items.next(); field !== 0; field = items.next())
    if (field === VALUES && items.type === WireType.LEN) each(items.from, items.to);
}

/** A value of type dyn: an int is a bigint, a number a double; null if it is empty. */
export function dynOf(bytes: Buffer, from: number, to: number): Value {
  ANY_VALUE.read(bytes, from, to);
  const { case: kind, from: at, to: end } = ANY_VALUE;
  switch (kind) {
    case AnyCase.STRING:
      return utf8Text(bytes, at, end);
    case AnyCase.BOOL:
      return BigInt.asUintN(64, wideValue(bytes, at, end)) !== 0n;
    case AnyCase.INT:
      return BigInt.asIntN(64, wideValue(bytes, at, end));
    case AnyCase.DOUBLE:
      return bytes.readDoubleLE(at);
    case AnyCase.BYTES:
      return Uint8Array.from(bytes.subarray(at, end));
    case AnyCase.ARRAY: {
      const list: Value[] = [];
      eachItem(bytes, at, end, (itemFrom, itemTo) => list.push(dynOf(bytes, itemFrom, itemTo)));
      return list;
    }
    case AnyCase.KVLIST:
      return dynMapOf(bytes, at, end);
    default:
      return null;
  }
}

/** Of a KeyValueList. The last of a repeated name counts. */
function dynMapOf(bytes: Buffer, from: number, to: number): ReadonlyMap<string, Value> {
  const map = new Map<string, Value>();
  eachItem(bytes, from, to, (itemFrom, itemTo) => addDyn(map, bytes, itemFrom, itemTo));
  return map;
}

/** Adds a KeyValue to a map. */
export function addDyn(map: Map<string, Value>, bytes: Buffer, from: number, to: number): void {
  KEY_VALUE.read(bytes, from, to);
  const { valueFrom, valueTo } = KEY_VALUE;
  map.set(utf8Text(bytes, KEY_VALUE.keyFrom, KEY_VALUE.keyTo), dynOf(bytes, valueFrom, valueTo));
}

/** The int of an AnyValue that was read into {@link ANY_VALUE}. */
export const intHere = (bytes: Uint8Array): number | bigint =>
  canonicalInt(BigInt.asIntN(64, wideValue(bytes, ANY_VALUE.from, ANY_VALUE.to)));

/** As JSON, where an int is a number and bytes are base64. */
export function jsonOfDyn(value: Value): Json {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return (value as readonly Value[]).map(jsonOfDyn);
  if (value instanceof Map)
    return Object.fromEntries([...(value as ReadonlyMap<string, Value>)].map(([name, of]) => [name, jsonOfDyn(of)]));
  return value as Json;
}
