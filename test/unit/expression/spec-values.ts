/** Values and types of cel-spec's tests (protobuf JSON) as ours. */
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  NULL,
  STRING,
  TIMESTAMP,
  TYPE,
  type Type,
  UINT,
  listOf,
  mapOf,
  optionalOf,
} from '../../../src/attributes/types.ts';
import { parseDuration, parseTimestamp } from '../../../src/attributes/time-text.ts';
import { Uint, type Value } from '../../../src/attributes/values.ts';
import { type Val, TypeName, keyOf, unbox } from '../../../src/expression/values/dynamic.ts';

export type SpecJson = Readonly<Record<string, unknown>>;

/** Thrown for what needs protobuf messages, which Sluice's attributes never are. */
export class NeedsMessages extends Error {}

const PRIMITIVES: Readonly<Record<string, Type>> = { BOOL, INT64: INT, UINT64: UINT, DOUBLE, STRING, BYTES };
const WELL_KNOWN: Readonly<Record<string, Type>> = { ANY: DYN, TIMESTAMP, DURATION };

export function specType(type: SpecJson): Type {
  if ('primitive' in type) return PRIMITIVES[String(type['primitive'])] ?? DYN;
  if ('wellKnown' in type) return WELL_KNOWN[String(type['wellKnown'])] ?? DYN;
  if ('dyn' in type) return DYN;
  if ('null' in type) return NULL;
  if ('listType' in type) return listOf(specType((type['listType'] as { elemType?: SpecJson }).elemType ?? {}));
  if ('mapType' in type) {
    const { keyType, valueType } = type['mapType'] as { keyType?: SpecJson; valueType?: SpecJson };
    return mapOf(specType(keyType ?? {}), specType(valueType ?? {}));
  }
  if ('type' in type) return TYPE;
  if ('abstractType' in type) {
    const { name, parameterTypes: [of] = [] } = type['abstractType'] as {
      name?: string;
      parameterTypes?: readonly SpecJson[];
    };
    if (name === 'optional_type') return optionalOf(specType(of ?? {}));
  }
  throw new NeedsMessages(JSON.stringify(type));
}

/** In `dyn` form. */
export function specValue(value: SpecJson): Val {
  const [[kind, raw] = ['', undefined]] = Object.entries(value);
  switch (kind) {
    case 'nullValue':
      return null;
    case 'boolValue':
    case 'stringValue':
      return raw as boolean | string;
    case 'int64Value':
      return BigInt(raw as string);
    case 'uint64Value':
      return new Uint(BigInt(raw as string));
    case 'doubleValue':
      return typeof raw === 'number' ? raw : Number(String(raw));
    case 'bytesValue':
      return new Uint8Array(Buffer.from(raw as string, 'base64'));
    case 'typeValue':
      return new TypeName(String(raw));
    case 'listValue':
      return ((raw as { values?: SpecJson[] }).values ?? []).map(specValue) as Val;
    case 'mapValue':
      return new Map(
        ((raw as { entries?: { key: SpecJson; value: SpecJson }[] }).entries ?? []).map(({ key, value: inner }) => [
          keyOf(specValue(key)),
          specValue(inner),
        ]),
      ) as Val;
    case 'objectValue':
      return wellKnown(raw as SpecJson);
    default:
      throw new NeedsMessages(kind);
  }
}

function wellKnown(raw: SpecJson): Val {
  const found =
    raw['@type'] === 'type.googleapis.com/google.protobuf.Timestamp'
      ? parseTimestamp(String(raw['value']))
      : raw['@type'] === 'type.googleapis.com/google.protobuf.Duration'
        ? parseDuration(String(raw['value']))
        : undefined;
  if (found === undefined) throw new NeedsMessages(String(raw['@type']));
  return found;
}

/** In the static form of a type. */
export function specBinding(value: SpecJson, type: Type): Value {
  const held = unbox(type, specValue(value));
  if (held === undefined) throw new NeedsMessages(`${JSON.stringify(value)} is no ${type.kind}`);
  return held as Value;
}
