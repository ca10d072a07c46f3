/** Forms of values that have no fields of their own: scalars, enums, and the well-known types whose JSON is not that of their fields. */
import { type DescEnum, ScalarType } from '@bufbuild/protobuf';
import type { ProtobufWriter } from '../protobuf/writer.ts';
import { isObject, type JsonObject } from '../text/json-object.ts';

/** How values of one form are written as a field; a value that does not fit is left to the library. */
export interface Form {
  fits(value: unknown): boolean;
  /** Only a value that fits. */
  write(writer: ProtobufWriter, field: number, value: never): void;
}

export const isText = (value: unknown): value is string => typeof value === 'string' && value.isWellFormed();
const isFinite = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);
const isWithin =
  (min: number, max: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
const isUint32 = isWithin(0, 0xffff_ffff);
const isInt32 = isWithin(-0x8000_0000, 0x7fff_ffff);

/** `writesZero`: its presence says something, so a zero is written too. `undefined`: only the library writes it. */
export function scalarForm(type: ScalarType, writesZero: boolean): Form | undefined {
  const integer = (fits: (value: unknown) => boolean): Form => ({
    fits,
    write: (writer, field, value: number) => {
      if (writesZero || value !== 0) writer.long(field, value);
    },
  });
  switch (type) {
    case ScalarType.STRING:
      return {
        fits: isText,
        write: (writer, field, value: string) => (writesZero ? writer.item(field, value) : writer.text(field, value)),
      };
    case ScalarType.BOOL:
      return {
        fits: (value) => typeof value === 'boolean',
        write: (writer, field, value: boolean) => {
          if (writesZero || value) writer.long(field, value ? 1 : 0);
        },
      };
    case ScalarType.UINT32:
      return integer(isUint32);
    case ScalarType.INT32:
      return integer(isInt32);
    case ScalarType.UINT64:
      return integer(isWithin(0, Number.MAX_SAFE_INTEGER));
    case ScalarType.INT64:
      return integer(isWithin(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
    case ScalarType.DOUBLE:
      return {
        fits: isFinite,
        write: (writer, field, value: number) => {
          if (writesZero || !Object.is(value, 0)) writer.double(field, value);
        },
      };
    default:
      return undefined;
  }
}

/** By name or by number. */
export function enumForm(type: DescEnum, writesZero: boolean): Form | undefined {
  if (!type.open || type.typeName === 'google.protobuf.NullValue') return undefined;
  const numbers = new Map<unknown, number>(type.values.map(({ name, number }) => [name, number]));
  const first = type.values[0]?.number;
  return {
    fits: (value) => numbers.has(value) || isInt32(value),
    write: (writer, field, value: string | number) => {
      const number = typeof value === 'number' ? value : (numbers.get(value) ?? 0);
      if (writesZero || number !== first) writer.long(field, number);
    },
  };
}

/** Of `uint32`. */
export const PACKED: Form = {
  fits: (value) => Array.isArray(value) && value.every(isUint32),
  write: (writer, field, values: readonly number[]) => {
    if (values.length === 0) return;
    const begun = writer.begin(field);
    for (const value of values) writer.bareVarint(value);
    writer.end(begun);
  },
};

// ---------------------------------------------------------- well-known types

const DURATION = /^(\d{1,11})(?:\.(\d{1,9}))?s$/;

/** Well-known types by name; `undefined`: only the library writes it. */
export const WELL_KNOWN: Readonly<Record<string, Form | undefined>> = {
  'google.protobuf.Duration': {
    fits: (value) => typeof value === 'string' && DURATION.test(value),
    write: (writer, field, value: string) => {
      const [, seconds, fraction = ''] = DURATION.exec(value) ?? [];
      const begun = writer.begin(field);
      if (Number(seconds) !== 0) writer.long(1, Number(seconds));
      writer.varint(2, Number(fraction.padEnd(9, '0')));
      writer.end(begun);
    },
  },
  'google.protobuf.Struct': {
    fits: isStruct,
    write: (writer, field, value: JsonObject) => {
      const begun = writer.begin(field);
      writeStruct(writer, value);
      writer.end(begun);
    },
  },
  ...Object.fromEntries(
    (
      [
        ['String', ScalarType.STRING],
        ['Bool', ScalarType.BOOL],
        ['UInt32', ScalarType.UINT32],
        ['Int32', ScalarType.INT32],
        ['UInt64', ScalarType.UINT64],
        ['Int64', ScalarType.INT64],
        ['Double', ScalarType.DOUBLE],
        ['Float', ScalarType.FLOAT],
        ['Bytes', ScalarType.BYTES],
      ] as const
    ).map(([name, type]) => [`google.protobuf.${name}Value`, wrapperForm(type)]),
  ),
  'google.protobuf.Value': undefined,
  'google.protobuf.ListValue': undefined,
  'google.protobuf.Timestamp': undefined,
  'google.protobuf.FieldMask': undefined,
};

function wrapperForm(type: ScalarType): Form | undefined {
  const form = scalarForm(type, false);
  if (form === undefined) return undefined;
  return {
    fits: (value) => form.fits(value),
    write: (writer, field, value) => {
      const begun = writer.begin(field);
      form.write(writer, 1, value);
      writer.end(begun);
    },
  };
}

function isStruct(value: unknown): boolean {
  return isObject(value) && Object.entries(value).every(([key, own]) => isText(key) && isStructValue(own));
}

const isStructValue = (value: unknown): boolean =>
  isText(value) || typeof value === 'boolean' || isFinite(value) || isStruct(value);

function writeStruct(writer: ProtobufWriter, map: JsonObject): void {
  for (const key of Object.keys(map).toSorted()) {
    const entry = writer.begin(1);
    writer.item(1, key);
    const begun = writer.begin(2);
    const value = map[key];
    if (typeof value === 'number') writer.double(2, value);
    else if (typeof value === 'string') writer.item(3, value);
    else if (typeof value === 'boolean') writer.long(4, value ? 1 : 0);
    else {
      const struct = writer.begin(5);
      writeStruct(writer, value as JsonObject);
      writer.end(struct);
    }
    writer.end(begun);
    writer.end(entry);
  }
}
