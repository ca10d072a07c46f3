/** Unusual encodings of messages, equal in meaning to the usual ones. */
import type { Random } from '../../parts/random.ts';

/** The nested messages, whose fields may be split, reordered and sent twice; of maps and lists, each entry is one message. */
export type Shape = { readonly [number: number]: Shape };
export interface Field {
  readonly number: number;
  readonly type: number;
  readonly body: number[];
}

export const varint = (value: number, random?: Random): number[] => {
  const encoded: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) encoded.push((rest % 128) | 0x80);
  encoded.push(rest);
  if (random?.below(8) === 0) {
    encoded[encoded.length - 1] = (encoded.at(-1) as number) | 0x80;
    encoded.push(0); // longer than necessary
  }
  return encoded;
};

function fieldsOf(bytes: readonly number[]): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const read = (): number => {
    let [value, shift] = [0, 1];
    for (;;) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * shift;
      shift *= 128;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = read();
    const type = tag & 7;
    const begin = at;
    if (type === 0) read();
    else if (type === 2) {
      const length = read();
      fields.push({ number: tag >>> 3, type, body: bytes.slice(at, (at += length)) });
      continue;
    } else at += type === 1 ? 8 : 4;
    fields.push({ number: tag >>> 3, type, body: bytes.slice(begin, at) });
  }
  return fields;
}

export const written = ({ number, type, body }: Field, random: Random): number[] => [
  ...varint(number * 8 + type, random),
  ...(type === 2 ? varint(body.length, random) : []),
  ...body,
];

const UNKNOWN: readonly ((random: Random) => number[])[] = [
  (random) => [...varint(99 * 8), ...varint(random.below(2 ** 30), random)],
  () => [...varint(98 * 8 + 1), 1, 2, 3, 4, 5, 6, 7, 8],
  (random) => written({ number: 97, type: 2, body: [1, 2, 3] }, random),
  () => [...varint(96 * 8 + 5), 1, 2, 3, 4],
  (random) => [
    ...varint(95 * 8 + 3),
    ...written({ number: 2, type: 2, body: [0xff] }, random),
    ...varint(94 * 8 + 3),
    ...varint(94 * 8 + 4),
    ...varint(95 * 8 + 4),
  ],
];

/** Another encoding of the same message: fields of different numbers are reordered, messages split in two, unknown fields inserted. */
export function oddly(bytes: readonly number[], shape: Shape, random: Random): number[] {
  const parts: Field[] = fieldsOf(bytes).flatMap((field) => {
    const within = field.type === 2 ? shape[field.number] : undefined;
    if (within === undefined) return [field];
    const inner = fieldsOf(field.body);
    if (inner.length > 1 && random.below(6) === 0) {
      const cut = 1 + random.below(inner.length - 1);
      return [inner.slice(0, cut), inner.slice(cut)].map((half) => ({
        ...field,
        body: oddly(
          half.flatMap((one) => written(one, random)),
          within,
          random,
        ),
      }));
    }
    return [{ ...field, body: oddly(field.body, within, random) }];
  });
  for (let swap = 0; swap < parts.length; swap++) {
    const [a, b] = [random.below(parts.length), random.below(parts.length)];
    const [one, other] = [parts[a] as Field, parts[b] as Field];
    const between = parts.slice(Math.min(a, b), Math.max(a, b) + 1);
    if (
      between.some(({ number }, index) => index > 0 && number === between[0]?.number) ||
      between.some(({ number }, index) => index < between.length - 1 && number === between.at(-1)?.number)
    )
      continue;
    [parts[a], parts[b]] = [other, one];
  }
  return parts.flatMap((part) => [
    ...(random.below(5) === 0 ? random.one(UNKNOWN)(random) : []),
    ...written(part, random),
  ]);
}
