/**
 * Random messages of a schema, in every form that protobuf permits: fields in any order and repeated, singular messages to be merged,
 * several members of a oneof, entries of maps without a key or a value and with a key again, packed and expanded lists, varints of up to
 * ten bytes with bits beyond their type, negative enums, and unknown fields of each wire type.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { WireType } from '../../../src/protobuf/scan.ts';
import type { Random } from '../../parts/random.ts';
import { varint, written } from './odd-encodings.ts';

/** Nested messages beyond this are empty. */
const MAX_DEPTH = 6;
/** Larger ones are left out, since they contain themselves in many fields. */
const MOST_FIELDS = 12;

const TEXTS = ['', 'a', 'ü', '🦆', '__proto__', 'constructor', 'x-a', '10.0.0.1', '::1', '/p?q=1', 'v'.repeat(200)];
const WIDE = [
  0n,
  1n,
  127n,
  128n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** With bits beyond the 64th at times, which are dropped. */
function wideVarint(random: Random): number[] {
  let rest = random.chance(3) ? BigInt(random.below(1000)) : random.one(WIDE);
  const encoded: number[] = [];
  for (; rest >= 0x80n; rest >>= 7n) encoded.push(Number(rest & 0x7fn) | 0x80);
  encoded.push(Number(rest));
  if (!random.chance(6)) return encoded;
  while (encoded.length < 10) {
    encoded[encoded.length - 1] = (encoded.at(-1) as number) | 0x80;
    encoded.push(0);
  }
  encoded[9] = (encoded[9] as number) | (random.below(64) << 1);
  return encoded;
}

const bytesOf = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.below(256));

function scalar(type: ScalarType, random: Random): { readonly type: number; readonly body: number[] } {
  switch (type) {
    case ScalarType.STRING:
      return { type: WireType.LEN, body: [...Buffer.from(random.one(TEXTS))] };
    case ScalarType.BYTES:
      return { type: WireType.LEN, body: bytesOf(random, random.one([0, 1, 3, 200])) };
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return { type: WireType.I64, body: bytesOf(random, 8) };
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return { type: WireType.I32, body: bytesOf(random, 4) };
    default:
      return { type: WireType.VARINT, body: wideVarint(random) };
  }
}

const ENUM = ScalarType.INT32;

function fieldBytes(field: DescField, random: Random, depth: number): number[] {
  const { number } = field;
  const whole = (type: number, body: number[]): number[] => written({ number, type, body }, random);
  switch (field.fieldKind) {
    case 'message':
      return whole(WireType.LEN, randomMessage(field.message, random, depth + 1));
    case 'map': {
      const key = (): number[] => written({ number: 1, ...scalar(field.mapKey, random) }, random);
      const value = (): number[] =>
        field.mapKind === 'message'
          ? written({ number: 2, type: WireType.LEN, body: randomMessage(field.message, random, depth + 1) }, random)
          : written({ number: 2, ...scalar(field.mapKind === 'enum' ? ENUM : field.scalar, random) }, random);
      const parts = random.one([
        [key, value],
        [key, value],
        [key, value],
        [value, key],
        [key],
        [value],
        [],
        [key, key, value],
      ]);
      return whole(WireType.LEN, [...parts.flatMap((part) => part()), ...(random.chance(8) ? unknown(random) : [])]);
    }
    case 'list': {
      if (field.listKind === 'message') return whole(WireType.LEN, randomMessage(field.message, random, depth + 1));
      const type = field.listKind === 'enum' ? ENUM : field.scalar;
      const one = scalar(type, random);
      if (one.type === WireType.LEN || random.chance(2)) return whole(one.type, one.body);
      return whole(WireType.LEN, [...one.body, ...scalar(type, random).body]);
    }
    default: {
      const { type, body } = scalar(field.fieldKind === 'enum' ? ENUM : field.scalar, random);
      return whole(type, body);
    }
  }
}

/** Field numbers that no schema of ours has, up to the largest. */
function unknown(random: Random): number[] {
  const number = random.one([100, 1999, 2 ** 29 - 1]);
  const tag = (type: number): number[] => varint(number * 8 + type);
  switch (random.below(5)) {
    case 0:
      return [...tag(WireType.VARINT), ...wideVarint(random)];
    case 1:
      return [...tag(WireType.I64), ...bytesOf(random, 8)];
    case 2: {
      const body = bytesOf(random, random.one([0, 3, 130]));
      return [...tag(WireType.LEN), ...varint(body.length, random), ...body];
    }
    case 3:
      return [...tag(WireType.I32), ...bytesOf(random, 4)];
    default:
      return [...tag(WireType.SGROUP), ...(random.chance(2) ? unknown(random) : []), ...tag(WireType.EGROUP)];
  }
}

export function randomMessage(schema: DescMessage, random: Random, depth = 0): number[] {
  const encoded: number[] = [];
  if (depth > MAX_DEPTH) return encoded;
  const count = random.below(Math.min(MOST_FIELDS, 3 + 2 * schema.fields.length) / (depth > 3 ? 3 : 1));
  for (let made = 0; made < count; made++)
    encoded.push(...(random.chance(12) ? unknown(random) : fieldBytes(random.one(schema.fields), random, depth)));
  return encoded;
}
