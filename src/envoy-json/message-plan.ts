/**
 * How messages are written, compiled once per type: for each name of a field, its number and the form of its value.
 * **In**: JSON. **Out**: the fields in the order of their numbers. **Fails**: with an {@link EnvoyJsonError}.
 *
 * Values of the forms that this program makes are written directly. Of any other value the library of protobuf makes the bytes, or the
 * error.
 */
import {
  type DescField,
  type DescMessage,
  type DescOneof,
  fromJson,
  type JsonValue,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';
import type { ProtobufWriter } from '../protobuf/writer.ts';
import { EnvoyJsonError, errorWithin } from './errors.ts';
import { envoyType, envoyTypes, TYPE_URL_PREFIX } from './registry.ts';
import { isObject } from '../text/json-object.ts';
import { enumForm, type Form, isText, PACKED, scalarForm, WELL_KNOWN } from './value-forms.ts';

interface FieldPlan {
  readonly field: DescField;
  readonly number: number;
  readonly oneof: DescOneof | undefined;
  /** `undefined`: only the library writes it. */
  readonly form: Form | undefined;
  readonly takesNull: boolean;
}

/** By the name of the field in the proto, and by that in JSON of protobuf. */
type MessagePlan = ReadonlyMap<string, FieldPlan>;

const plans = new Map<DescMessage, MessagePlan>();

function planOf(schema: DescMessage): MessagePlan {
  let plan = plans.get(schema);
  if (plan === undefined)
    plans.set(
      schema,
      (plan = new Map(
        schema.fields.flatMap((field) => {
          const own = {
            field,
            number: field.number,
            oneof: field.oneof,
            form: formOf(field),
            takesNull: takesNull(field),
          };
          return [
            [field.name, own],
            [field.jsonName, own],
          ];
        }),
      )),
    );
  return plan;
}

const takesNull = ({ message, enum: type }: DescField): boolean =>
  message?.typeName === 'google.protobuf.Value' || type?.typeName === 'google.protobuf.NullValue';

// ---------------------------------------------------------- messages

/** Fields that are set, and their values, of the messages that are being written; those of the innermost are the last. */
const fields: FieldPlan[] = [];
const values: unknown[] = [];
let count = 0;

/** `isInAny`: `@type` says its type. */
export function writeMessage(writer: ProtobufWriter, schema: DescMessage, json: unknown, isInAny = false): void {
  if (!isObject(json)) throw new EnvoyJsonError(`cannot encode message ${schema.typeName}: it is not an object`);
  const from = count;
  try {
    for (const key of Object.keys(json)) {
      const own = planOf(schema).get(key);
      if (own !== undefined) put(own, json[key], schema, from);
      else if (!isInAny || key !== '@type')
        throw new EnvoyJsonError(`cannot encode message ${schema.typeName}: key "${key}" is unknown`);
    }
    const to = count;
    for (let at = from; at < to; at++) writeField(writer, schema, fields[at] as FieldPlan, values[at]);
  } finally {
    count = from;
  }
}

/** In the order of numbers. */
function put(own: FieldPlan, value: unknown, schema: DescMessage, from: number): void {
  if ((value === undefined || value === null) && !own.takesNull) return;
  for (let at = from; at < count; at++) {
    const other = fields[at] as FieldPlan;
    if (other === own || (own.oneof !== undefined && other.oneof === own.oneof))
      throw new EnvoyJsonError(
        `cannot encode message ${schema.typeName}: it has ${other.field.name} and ${own.field.name}, of which one may be set`,
      );
  }
  let at = count++;
  for (; at > from && (fields[at - 1] as FieldPlan).number > own.number; at--) {
    fields[at] = fields[at - 1] as FieldPlan;
    values[at] = values[at - 1];
  }
  fields[at] = own;
  values[at] = value;
}

function writeField(
  writer: ProtobufWriter,
  schema: DescMessage,
  { field, number, form }: FieldPlan,
  value: unknown,
): void {
  try {
    if (form?.fits(value) === true) form.write(writer, number, value as never);
    else writer.encoded(byLibrary(schema, field.name, value));
  } catch (error) {
    throw errorWithin(field.name, error);
  }
}

/** A field by itself; the fields of a message follow each other on the wire. */
const byLibrary = (schema: DescMessage, name: string, value: unknown): Uint8Array =>
  toBinary(schema, fromJson(schema, { [name]: sorted(value as JsonValue) }, { registry: envoyTypes() }));

/** Maps are written in the order of their keys. */
function sorted(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(sorted);
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(
    Object.keys(json)
      .toSorted()
      .map((key) => [key, sorted(json[key] ?? null)]),
  );
}

// ---------------------------------------------------------- forms of fields

function formOf(field: DescField): Form | undefined {
  const writesZero = field.oneof !== undefined || field.presence !== FeatureSet_FieldPresence.IMPLICIT;
  switch (field.fieldKind) {
    case 'scalar':
      return scalarForm(field.scalar, writesZero);
    case 'enum':
      return enumForm(field.enum, writesZero);
    case 'message':
      return field.delimitedEncoding ? undefined : messageForm(field.message);
    case 'list':
      return listForm(field);
    case 'map':
      return mapForm(field);
  }
}

function messageForm(schema: DescMessage): Form | undefined {
  if (schema.typeName === 'google.protobuf.Any') return ANY;
  if (Object.hasOwn(WELL_KNOWN, schema.typeName)) return WELL_KNOWN[schema.typeName];
  return {
    fits: isObject,
    write: (writer, field, json: unknown) => {
      const begun = writer.begin(field);
      writeMessage(writer, schema, json);
      writer.end(begun);
    },
  };
}

const ANY: Form = {
  fits: (value) => isObject(value) && isPlain(typeInAny(value)),
  write: (writer, field, json: Readonly<Record<string, unknown>>) => {
    const schema = typeInAny(json) as DescMessage;
    const begun = writer.begin(field);
    writer.item(1, TYPE_URL_PREFIX + schema.typeName);
    const message = writer.begin(2);
    writeMessage(writer, schema, json, true);
    writer.endUnlessEmpty(message);
    writer.end(begun);
  },
};

const typeInAny = ({ '@type': typeUrl }: Readonly<Record<string, unknown>>): DescMessage | undefined =>
  typeof typeUrl === 'string' ? envoyType(typeUrl) : undefined;

/** Its JSON is that of its fields. */
const isPlain = (schema: DescMessage | undefined): boolean =>
  schema !== undefined && schema.typeName !== 'google.protobuf.Any' && !Object.hasOwn(WELL_KNOWN, schema.typeName);

function listForm(field: DescField & { readonly fieldKind: 'list' }): Form | undefined {
  if (field.packed) return field.listKind === 'scalar' && field.scalar === ScalarType.UINT32 ? PACKED : undefined;
  const item =
    field.listKind === 'message'
      ? field.delimitedEncoding
        ? undefined
        : messageForm(field.message)
      : field.listKind === 'scalar'
        ? scalarForm(field.scalar, true)
        : enumForm(field.enum, true);
  if (item === undefined) return undefined;
  return {
    fits: (value) => Array.isArray(value) && value.every((one) => item.fits(one)),
    write: (writer, number, items: readonly never[]) => {
      for (const [at, one] of items.entries())
        try {
          item.write(writer, number, one);
        } catch (error) {
          throw errorWithin(at, error);
        }
    },
  };
}

/** By texts; keys and values are always written. */
function mapForm(field: DescField & { readonly fieldKind: 'map' }): Form | undefined {
  if (field.mapKey !== ScalarType.STRING) return undefined;
  const item =
    field.mapKind === 'message'
      ? messageForm(field.message)
      : field.mapKind === 'scalar'
        ? scalarForm(field.scalar, true)
        : enumForm(field.enum, true);
  if (item === undefined) return undefined;
  return {
    fits: (value) =>
      isObject(value) &&
      Object.keys(value).every((key) => isText(key) && item.fits((value as Record<string, unknown>)[key])),
    write: (writer, number, map: Readonly<Record<string, never>>) => {
      for (const key of Object.keys(map).toSorted()) {
        const entry = writer.begin(number);
        writer.item(1, key);
        try {
          item.write(writer, 2, map[key] as never);
        } catch (error) {
          throw errorWithin(key, error);
        }
        writer.end(entry);
      }
    },
  };
}
