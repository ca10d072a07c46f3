/** A report as a message of report.proto, in the encoding of protobuf (protobuf.dev/programming-guides/encoding). */
import type { ReportEntry } from 'sluice/plugin';

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;

const [ID, RULE, TIME_MS, FIELDS] = [1, 2, 3, 4];
const [STRING_VALUE, INT_VALUE, DOUBLE_VALUE, BOOL_VALUE, BYTES_VALUE, TIMESTAMP_MS, LIST_VALUE, MAP_VALUE] = [
  1, 2, 3, 4, 5, 6, 7, 8,
];

export function reportProtobuf(
  { id, timeMs }: Pick<ReportEntry, 'id' | 'timeMs'>,
  rule: string,
  fields: Readonly<Record<string, unknown>>,
): Buffer {
  return Buffer.concat([
    bytesField(ID, Buffer.from(id)),
    bytesField(RULE, Buffer.from(rule)),
    varintField(TIME_MS, BigInt(Math.trunc(timeMs))),
    ...mapEntries(FIELDS, fields),
  ]);
}

/** A map is a repeated message of key (1) and value (2). */
const mapEntries = (field: number, fields: Readonly<Record<string, unknown>>): Buffer[] =>
  Object.entries(fields).map(([name, value]) =>
    bytesField(field, Buffer.concat([bytesField(1, Buffer.from(name)), bytesField(2, valueMessage(value))])),
  );

function valueMessage(value: unknown): Buffer {
  if (value === null || value === undefined) return Buffer.alloc(0);
  if (typeof value === 'string') return bytesField(STRING_VALUE, Buffer.from(value));
  if (typeof value === 'boolean') return varintField(BOOL_VALUE, value ? 1n : 0n);
  if (typeof value === 'bigint')
    return BigInt.asIntN(64, value) === value
      ? varintField(INT_VALUE, value)
      : bytesField(STRING_VALUE, Buffer.from(String(value)));
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return varintField(INT_VALUE, BigInt(value));
    const double = Buffer.alloc(8);
    double.writeDoubleLE(value);
    return Buffer.concat([tag(DOUBLE_VALUE, FIXED64), double]);
  }
  if (value instanceof Uint8Array) return bytesField(BYTES_VALUE, Buffer.from(value));
  if (value instanceof Date) return varintField(TIMESTAMP_MS, BigInt(value.getTime()));
  if (Array.isArray(value))
    return bytesField(LIST_VALUE, Buffer.concat(value.map((one) => bytesField(1, valueMessage(one)))));
  return bytesField(MAP_VALUE, Buffer.concat(mapEntries(1, value as Readonly<Record<string, unknown>>)));
}

const tag = (field: number, type: number): Buffer => Buffer.from([(field << 3) | type]);

const bytesField = (field: number, bytes: Buffer): Buffer =>
  Buffer.concat([tag(field, BYTES), varint(BigInt(bytes.length)), bytes]);

const varintField = (field: number, value: bigint): Buffer => Buffer.concat([tag(field, VARINT), varint(value)]);

/** Seven bits a byte, the lowest first; negative numbers as their 64 bits. */
function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
