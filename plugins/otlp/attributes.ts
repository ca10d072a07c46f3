/** Values of reports as attributes of OTLP (opentelemetry.proto.common.v1.KeyValue and AnyValue). */
import type { Shape } from 'sluice/plugin';
import type { WireWriter } from './wire.ts';

const [KEY, VALUE] = [1, 2];
const [STRING, BOOL, INT, DOUBLE, ARRAY, LIST, BYTES] = [1, 2, 3, 4, 5, 6, 7];
/** Of an ArrayValue and of a KeyValueList. */
const VALUES = 1;
/** JSON of a request may nest; deeper values are written as text. */
const DEEPEST = 16;

type Write = (out: WireWriter, value: unknown) => void;

const WRITES: Readonly<Record<string, Write>> = {
  string: (out, value) => out.text(STRING, String(value)),
  bool: (out, value) => out.uint(BOOL, value === true ? 1 : 0),
  int: (out, value) => out.int(INT, Number(value)),
  double: (out, value) => out.double(DOUBLE, Number(value)),
  bytes: (out, value) => out.bytes(BYTES, value as Uint8Array),
  timestamp: (out, value) => out.text(STRING, (value as Date).toISOString()),
  duration: (out, value) => out.double(DOUBLE, Number(value) / 1000),
  ip: (out, value) => out.text(STRING, String(value)),
};

/** Writes the value as an AnyValue, by its type; a duration in seconds, a timestamp as text of ISO 8601. */
export const writerOf = (type: string): Write =>
  WRITES[type.replace(/\?$/, '')] ?? ((out, value) => writeAny(out, value, 0));

function writeAny(out: WireWriter, value: unknown, depth: number): void {
  if (typeof value === 'string') return out.text(STRING, value);
  if (typeof value === 'boolean') return out.uint(BOOL, value ? 1 : 0);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? out.int(INT, value) : out.double(DOUBLE, value);
  if (value instanceof Uint8Array) return out.bytes(BYTES, value);
  if (value instanceof Date) return out.text(STRING, value.toISOString());
  if (typeof value !== 'object' || value === null) return;
  if (depth >= DEEPEST) return out.text(STRING, JSON.stringify(value));
  if (Array.isArray(value)) {
    const list = out.begin(ARRAY);
    for (const one of value) {
      const open = out.begin(VALUES);
      writeAny(out, one, depth + 1);
      out.end(open);
    }
    return out.end(list);
  }
  const list = out.begin(LIST);
  for (const [name, one] of value instanceof Map ? value : Object.entries(value))
    writeKeyValue(out, VALUES, Buffer.from(String(name)), one, (to, inner) => writeAny(to, inner, depth + 1));
  out.end(list);
}

function writeKeyValue(out: WireWriter, field: number, key: Uint8Array, value: unknown, write: Write): void {
  const open = out.begin(field);
  out.bytes(KEY, key);
  const inner = out.begin(VALUE);
  write(out, value);
  out.end(inner);
  out.end(open);
}

export interface Attribute {
  /** The name in the report's input. */
  readonly name: string;
  /** Writes it as a KeyValue; its key is encoded once. */
  readonly write: (out: WireWriter, field: number, value: unknown) => void;
}

/** The names of a shape that become attributes, without `prefix`. */
export const attributesOf = (shape: Shape, names: readonly string[], prefix = ''): Attribute[] =>
  names.map((name) => {
    const key = Buffer.from(name.slice(prefix.length));
    const write = writerOf(shape[name] ?? 'any');
    return { name, write: (out, field, value) => writeKeyValue(out, field, key, value, write) };
  });

export function writeText(out: WireWriter, field: number, name: string, value: string): void {
  writeKeyValue(out, field, Buffer.from(name), value, WRITES['string'] as Write);
}

/** A value that an attribute can have. */
export const isPresent = (value: unknown): boolean => value !== undefined && value !== null;
