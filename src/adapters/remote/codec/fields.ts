/**
 * Codecs of messages, each declared as a table of its fields. The library's own would build an object of its class for each message and
 * each value; these read and write the objects of the protocol.
 * **In**: a message or its bytes. **Out**: its bytes or a message, with the defaults of absent fields. **Fails**: reading with a
 * {@link Malformed}; writing with a {@link CannotCross} where a value has no form on the wire.
 */
import { Buffer } from 'node:buffer'; // `globalThis.Buffer` is a getter; a local reference is faster on the hot path
import { Malformed } from '../../../protobuf/malformed.ts';
import { FieldScan, WireType, wideValue } from '../../../protobuf/scan.ts';
import type { ProtobufWriter } from '../../../protobuf/writer.ts';
import { CannotCross } from './cannot-cross.ts';

/** How one field is written and read. `message`: the message that contains it, for a field whose form depends on another. */
export interface FieldCodec<T> {
  readonly wireType: number;
  /** By `typeof`, where a value of another type would be written as nonsense. */
  readonly type?: string;
  /** Of an absent field; made anew for each message. */
  readonly absent: () => T;
  write(writer: ProtobufWriter, number: number, value: T, message: object): void;
  /** `before`: the value of the earlier fields of this number. */
  read(bytes: Buffer, scan: FieldScan, before: T): T;
}

export interface MessageCodec<T> {
  /** Members of `message` that are not in the table are ignored. */
  write(writer: ProtobufWriter, message: T): void;
  read(bytes: Buffer, from: number, to: number): T;
}

/** A message as a table: its members, each with its field number. A member that may be absent has a codec whose `absent` is `undefined`. */
export function message<T extends object>(table: {
  readonly [K in keyof T]-?: readonly [number: number, codec: FieldCodec<NonNullable<T[K]>> | FieldCodec<T[K]>];
}): MessageCodec<T> {
  const members = Object.entries(table as Record<string, readonly [number, FieldCodec<unknown>]>).map(
    ([name, [number, codec]]) => ({ name, number, codec }),
  );
  const byNumber: ((typeof members)[number] | undefined)[] = [];
  for (const member of members) byNumber[member.number] = member;
  return {
    write(writer, value) {
      const values = value as Record<string, unknown>;
      for (const { name, number, codec } of members) {
        const one = values[name];
        if (one === undefined) continue;
        if (codec.type !== undefined && typeof one !== codec.type)
          throw new CannotCross(name, `a ${one === null ? 'null' : typeof one} in the place of a ${codec.type}`);
        codec.write(writer, number, one, value);
      }
    },
    read(bytes, from, to) {
      const read: Record<string, unknown> = {};
      for (const { name, codec } of members) {
        const absent = codec.absent();
        if (absent !== undefined) read[name] = absent;
      }
      const fields = new FieldScan(bytes, from, to);
      for (let field = fields.next(); field !== 0; field = fields.next()) {
        const member = byNumber[field];
        if (member === undefined || member.codec.wireType !== fields.type) continue;
        read[member.name] = member.codec.read(bytes, fields, read[member.name]);
      }
      return read as T;
    },
  };
}

/** The number of a varint; beyond 2^53 it is malformed. */
export function safeInteger(bytes: Buffer, { from, to, value }: FieldScan): number {
  if (to - from <= 4) return value;
  const wide = Number(BigInt.asIntN(64, wideValue(bytes, from, to)));
  if (!Number.isSafeInteger(wide)) throw new Malformed(`a whole number is ${wide}; at most 2^53 can be read`);
  return wide;
}

const scalar = <T>(
  wireType: number,
  absent: T,
  write: (writer: ProtobufWriter, number: number, value: T) => void,
  read: (bytes: Buffer, scan: FieldScan) => T,
): FieldCodec<T> => ({
  wireType,
  type: absent === undefined ? 'string' : typeof absent,
  absent: () => absent,
  write,
  read,
});

export const text = scalar<string>(
  WireType.LEN,
  '',
  (writer, number, value) => writer.text(number, value),
  (bytes, { from, to }) => bytes.toString('utf8', from, to),
);
/** Up to 2^53. */
export const whole = scalar<number>(
  WireType.VARINT,
  0,
  (writer, number, value) => {
    if (!Number.isSafeInteger(value)) throw new CannotCross('', `${value}, where a whole number is expected`);
    if (value !== 0) writer.long(number, value);
  },
  safeInteger,
);
export const double = scalar<number>(
  WireType.I64,
  0,
  (writer, number, value) => {
    if (value !== 0) writer.double(number, value);
  },
  (bytes, { at }) => bytes.readDoubleLE(at - 8),
);
export const flag = scalar<boolean>(
  WireType.VARINT,
  false,
  (writer, number, value) => writer.bool(number, value),
  (bytes, scan) => safeInteger(bytes, scan) !== 0,
);

/** A word of an enum, numbered from 1. `otherwise`: of an absent or unknown number. */
export const word = <const W extends string, const O extends string | undefined>(
  words: readonly W[],
  otherwise: O,
): FieldCodec<W | O> =>
  scalar<W | O>(
    WireType.VARINT,
    otherwise,
    (writer, number, value) => writer.varint(number, words.indexOf(value as W) + 1),
    (_, { value }) => words[value - 1] ?? otherwise,
  );

/** A field with presence: `undefined` where it is absent, and written even if it is the default. */
export const optional = <T extends string | number>({
  type = '',
  ...codec
}: FieldCodec<T>): FieldCodec<T | undefined> => ({
  wireType: codec.wireType,
  type,
  absent: () => undefined,
  write(writer, number, value, holder) {
    if (value === '') writer.item(number, '');
    else if (value === 0 && codec.wireType === WireType.I64) writer.double(number, 0);
    else if (value === 0) writer.long(number, 0);
    else if (value !== undefined) codec.write(writer, number, value, holder);
  },
  read: (bytes, scan) => codec.read(bytes, scan, codec.absent()),
});

/** A nested message. */
export const nested = <T extends object>(codec: MessageCodec<T>): FieldCodec<T> =>
  ({
    ...maybe(codec),
    absent: () => codec.read(NOTHING, 0, 0),
  }) as FieldCodec<T>;

/** A nested message; `undefined` where it is absent. */
export const maybe = <T extends object>(codec: MessageCodec<T>): FieldCodec<T | undefined> => ({
  wireType: WireType.LEN,
  type: 'object',
  absent: () => undefined,
  write(writer, number, value) {
    if (value === undefined) return;
    const begun = writer.begin(number);
    codec.write(writer, value);
    writer.end(begun);
  },
  read: (bytes, { from, to }) => codec.read(bytes, from, to),
});

export const list = <T extends object>(codec: MessageCodec<T>): FieldCodec<readonly T[]> => ({
  wireType: WireType.LEN,
  type: 'object',
  absent: () => [],
  write(writer, number, values) {
    if (!Array.isArray(values)) throw new CannotCross('', 'an object in the place of a list');
    for (const value of values) {
      const begun = writer.begin(number);
      codec.write(writer, value);
      writer.end(begun);
    }
  },
  read(bytes, { from, to }, before) {
    (before as T[]).push(codec.read(bytes, from, to));
    return before;
  },
});

export const texts: FieldCodec<readonly string[]> = {
  wireType: WireType.LEN,
  type: 'object',
  absent: () => [],
  write(writer, number, values) {
    for (const value of values) writer.item(number, value);
  },
  read(bytes, { from, to }, before) {
    (before as string[]).push(bytes.toString('utf8', from, to));
    return before;
  },
};

/** Whole numbers, packed as proto3 writes them. */
export const wholes: FieldCodec<readonly number[] | undefined> = {
  wireType: WireType.LEN,
  absent: () => undefined,
  write(writer, number, values) {
    if (!Array.isArray(values) || values.length === 0) return;
    const begun = writer.begin(number);
    for (const value of values as readonly number[]) writer.bareVarint(value);
    writer.end(begun);
  },
  read(bytes, { from, to }, before) {
    const values = [...(before ?? [])];
    let value = 0;
    let shift = 0;
    for (let at = from; at < to; at++) {
      const byte = bytes[at] as number;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      shift += 7;
      if (byte >= 0x80) continue;
      values.push(value >>> 0);
      value = 0;
      shift = 0;
    }
    if (shift !== 0) throw new Malformed('a list of numbers ends inside one');
    return values;
  },
};

const NOTHING = Buffer.alloc(0);
