/**
 * Readings of single fields from the bytes of a message.
 * **In**: the descriptor of a field. **Out**: a function that decodes one occurrence. **Fails**: the function, with a `Malformed`.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import {
  DurationSchema,
  FieldDescriptorProto_Label,
  isWrapperDesc,
  StructSchema,
  TimestampSchema,
} from '@bufbuild/protobuf/wkt';
import { FieldScan, WireType, wideValue } from './scan.ts';
import { utf8Text } from './utf8-text.ts';

/** Decodes one occurrence of a field: its range, without its tag and length. */
export type Reading = (bytes: Buffer, from: number, to: number) => unknown;

export const tagOf = (field: number, type: number): number => field * 8 + type;

/** How a field is read in place; `undefined` if the library decodes it. `viewOf`: how a message is read. */
export function inPlaceReading(
  field: DescField,
  viewOf: (schema: DescMessage) => Reading,
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
      if (field.delimitedEncoding || message.typeName === StructSchema.typeName) return undefined;
      if (isWrapperDesc(message)) {
        const wrapped = inPlaceReading(message.fields[0], viewOf);
        if (wrapped === undefined) return undefined;
        const { absent, reading, type } = wrapped;
        const tag = tagOf(message.fields[0].number, type);
        return {
          type: WireType.LEN,
          absent: undefined,
          reading: (bytes, from, to) => lastIn(bytes, from, to, tag, absent, reading),
        };
      }
      if (message.typeName === DurationSchema.typeName || message.typeName === TimestampSchema.typeName)
        return { type: WireType.LEN, absent: undefined, reading: spanReading(message.typeName) };
      let view: Reading | undefined; // a schema may contain itself
      return {
        type: WireType.LEN,
        absent: undefined,
        reading: (bytes, from, to) => (view ??= viewOf(message))(bytes, from, to),
      };
    }
    case 'enum':
      return { type: WireType.VARINT, absent: 0, reading: (bytes, from, to) => low32(bytes, from, to) };
    case 'scalar': {
      if (field.scalar === ScalarType.STRING)
        return { type: WireType.LEN, absent: '', reading: (bytes, from, to) => utf8Text(bytes, from, to) };
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

const [SECONDS, NANOS] = [tagOf(1, WireType.VARINT), tagOf(2, WireType.VARINT)];

/** A duration or a timestamp: read at once, since both parts are needed. */
const spanReading =
  ($typeName: string): Reading =>
  (bytes, from, to) => {
    let seconds = 0n;
    let nanos = 0;
    const fields = new FieldScan(bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      const tag = tagOf(field, fields.type);
      if (tag === SECONDS) seconds = BigInt.asIntN(64, wideValue(bytes, fields.from, fields.to));
      else if (tag === NANOS) nanos = low32(bytes, fields.from, fields.to);
    }
    return { $typeName, seconds, nanos };
  };

/** The last occurrence of a field in a message of one field. */
function lastIn(bytes: Buffer, from: number, to: number, tag: number, absent: unknown, reading: Reading): unknown {
  const fields = new FieldScan(bytes, from, to);
  let begin = -1;
  let end = -1;
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (tagOf(field, fields.type) !== tag) continue;
    begin = fields.from;
    end = fields.to;
  }
  return begin < 0 ? absent : reading(bytes, begin, end);
}

/** The low 32 bits of a varint, signed. */
function low32(bytes: Buffer, from: number, to: number): number {
  let value = 0;
  for (let at = from, shift = 0; at < to && shift < 32; at++, shift += 7)
    value |= ((bytes[at] as number) & 0x7f) << shift;
  return value;
}

const VARINTS: ReadonlyMap<ScalarType, { readonly absent: unknown; readonly reading: Reading }> = new Map<
  ScalarType,
  { readonly absent: unknown; readonly reading: Reading }
>([
  [ScalarType.UINT32, { absent: 0, reading: (bytes, from, to) => low32(bytes, from, to) >>> 0 }],
  [ScalarType.INT32, { absent: 0, reading: (bytes, from, to) => low32(bytes, from, to) }],
  [
    ScalarType.BOOL,
    { absent: false, reading: (bytes, from, to) => BigInt.asUintN(64, wideValue(bytes, from, to)) !== 0n },
  ],
  [ScalarType.UINT64, { absent: 0n, reading: (bytes, from, to) => BigInt.asUintN(64, wideValue(bytes, from, to)) }],
  [ScalarType.INT64, { absent: 0n, reading: (bytes, from, to) => BigInt.asIntN(64, wideValue(bytes, from, to)) }],
]);
