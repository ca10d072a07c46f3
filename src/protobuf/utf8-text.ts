const MAX_CACHED_BYTES = 64;

/** UTF-8 bytes as text. For short ASCII text, building the string here is about 4x faster than calling Buffer.toString. */
export function utf8Text(bytes: Buffer, from: number, to: number): string {
  const length = to - from;
  if (length > 8) return bytes.toString('utf8', from, to);
  let all = 0;
  for (let at = from; at < to; at++) all |= bytes[at] as number;
  if (all >= 0x80) return bytes.toString('utf8', from, to);
  const byte = (at: number): number => bytes[from + at] as number;
  switch (length) {
    case 0:
      return '';
    case 1:
      return String.fromCharCode(byte(0));
    case 2:
      return String.fromCharCode(byte(0), byte(1));
    case 3:
      return String.fromCharCode(byte(0), byte(1), byte(2));
    case 4:
      return String.fromCharCode(byte(0), byte(1), byte(2), byte(3));
    case 5:
      return String.fromCharCode(byte(0), byte(1), byte(2), byte(3), byte(4));
    case 6:
      return String.fromCharCode(byte(0), byte(1), byte(2), byte(3), byte(4), byte(5));
    case 7:
      return String.fromCharCode(byte(0), byte(1), byte(2), byte(3), byte(4), byte(5), byte(6));
    default:
      return String.fromCharCode(byte(0), byte(1), byte(2), byte(3), byte(4), byte(5), byte(6), byte(7));
  }
}

/** A cache of one text, for a field that rarely changes between calls (a method, a host). */
export class CachedText {
  readonly #bytes = new Uint8Array(MAX_CACHED_BYTES);
  #length = -1;
  #text = '';

  of(bytes: Buffer, from: number, to: number): string {
    const length = to - from;
    if (length > MAX_CACHED_BYTES) return bytes.toString('utf8', from, to);
    const cached = this.#bytes;
    let at = 0;
    if (length === this.#length) while (at < length && cached[at] === bytes[from + at]) at++;
    if (at === length && length === this.#length) return this.#text;
    this.#text = bytes.toString('utf8', from, to);
    this.#length = length;
    for (at = 0; at < length; at++) cached[at] = bytes[from + at] as number;
    return this.#text;
  }
}

const SLOTS = 256;

/** A cache of parsed values by the bytes of short texts, since the calls of a proxy come from few peers. */
export class ParsedTextCache<T> {
  readonly #parse: (text: string) => T;
  readonly #bytes = new Uint8Array(SLOTS * MAX_CACHED_BYTES);
  readonly #lengths = new Int32Array(SLOTS).fill(-1);
  readonly #values: T[] = [];

  constructor(parse: (text: string) => T) {
    this.#parse = parse;
  }

  of(bytes: Buffer, from: number, to: number): T {
    const length = to - from;
    if (length > MAX_CACHED_BYTES) return this.#parse(bytes.toString('utf8', from, to));
    let hash = length;
    for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0;
    const slot = (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (SLOTS - 1);
    const cached = this.#bytes;
    const start = slot * MAX_CACHED_BYTES;
    let at = 0;
    if (length === this.#lengths[slot]) while (at < length && cached[start + at] === bytes[from + at]) at++;
    if (at === length && length === this.#lengths[slot]) return this.#values[slot] as T;
    const value = this.#parse(utf8Text(bytes, from, to));
    this.#values[slot] = value;
    this.#lengths[slot] = length;
    for (at = 0; at < length; at++) cached[start + at] = bytes[from + at] as number;
    return value;
  }
}
