import { absentWhereMalformed } from './malformed.ts';
import { utf8Text } from './utf8-text.ts';
import { FieldScan, isPlain, LONG, WireType } from './scan.ts';

/** Lookups that scan the bytes; later ones decode all headers. */
const MAX_SCANS = 6;

/**
 * A protobuf `map<string, string>` of header fields, as a Map with names in lower case. A header is looked up in the bytes, so that the
 * others are not decoded; a table is built when all headers are read. `instanceof Map` is true.
 */
export class HeaderMap implements ReadonlyMap<string, string> {
  /** The range of the message that holds the map. */
  #bytes: Buffer;
  #from: number;
  #to: number;
  readonly #field: number;
  /** Headers that its message has elsewhere; one of the map wins. */
  readonly #others: (() => Iterable<readonly [name: string, value: string]>) | undefined;
  #scans = 0;
  /** A cache of the last lookup, since consecutive rules mostly read the same header. */
  #lastName = '';
  #lastValue: string | undefined;
  #table: Map<string, string> | undefined;

  constructor(
    bytes: Buffer,
    from: number,
    to: number,
    field: number,
    others?: () => Iterable<readonly [name: string, value: string]>,
  ) {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.#field = field;
    this.#others = others;
  }

  /** Reads from a copy, in which the bytes are `by` positions earlier. */
  move(bytes: Buffer, by: number): void {
    if (this.#table !== undefined) return;
    this.#bytes = bytes;
    this.#from -= by;
    this.#to -= by;
  }

  get(name: string): string | undefined {
    if (this.#table !== undefined) return this.#table.get(name);
    if (name === this.#lastName && name !== '') return this.#lastValue;
    if (this.#scans++ >= MAX_SCANS || !isAscii(name)) return this.#all().get(name);
    this.#lastName = name;
    return (this.#lastValue = this.#find(this.#bytes, name) ?? this.#other(name));
  }

  #other(wanted: string): string | undefined {
    if (this.#others !== undefined) for (const [name, value] of this.#others()) if (name === wanted) return value;
    return undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  get size(): number {
    return this.#all().size;
  }

  keys(): MapIterator<string> {
    return this.#all().keys();
  }

  values(): MapIterator<string> {
    return this.#all().values();
  }

  entries(): MapIterator<[string, string]> {
    return this.#all().entries();
  }

  [Symbol.iterator](): MapIterator<[string, string]> {
    return this.entries();
  }

  forEach(visit: (value: string, name: string, map: ReadonlyMap<string, string>) => void): void {
    for (const [name, value] of this.#all()) visit(value, name, this);
  }

  /** Finds the last entry of that name, which counts in a protobuf map. */
  #find(bytes: Buffer, name: string): string | undefined {
    const to = this.#to;
    const tag = (this.#field << 3) | WireType.LEN;
    let valueFrom = -1;
    let valueTo = -1;
    let end = 0;
    for (let at = this.#from; at < to; at = end) {
      const first = bytes[at] as number;
      let begin = at + 2;
      let length = begin <= to ? (bytes[at + 1] as number) : LONG;
      if (length >= 0x80 && begin < to) length = (length & 0x7f) | ((bytes[begin++] as number) << 7);
      end = begin + length;
      if (isPlain(first) && length < LONG && end <= to) {
        if (first !== tag) continue;
        // The form in which every encoder writes an entry: the key, then the value.
        const value = begin + 2 + (bytes[begin + 1] as number);
        if (value + 1 < end && bytes[begin] === KEY && value < begin + 2 + 0x80 && bytes[value] === VALUE) {
          let from = value + 2;
          let valueLength = bytes[value + 1] as number;
          if (valueLength >= 0x80) valueLength = (valueLength & 0x7f) | ((bytes[from++] as number) << 7);
          if (from + valueLength === end) {
            if (!isNamed(bytes, begin + 2, value, name)) continue;
            valueFrom = from;
            valueTo = end;
            continue;
          }
        }
      }
      const fields = new FieldScan(bytes, at, to);
      const field = fields.next();
      end = fields.at;
      if (field !== this.#field || fields.type !== WireType.LEN) continue;
      const entry = wellFormedEntryOf(bytes, fields.from, fields.to);
      if (entry === undefined || !isNamed(bytes, entry.keyFrom, entry.keyTo, name)) continue;
      valueFrom = entry.valueFrom;
      valueTo = entry.valueTo;
    }
    return valueFrom < 0 ? undefined : utf8Text(bytes, valueFrom, valueTo);
  }

  #all(): Map<string, string> {
    if (this.#table !== undefined) return this.#table;
    const table = new Map<string, string>();
    const bytes = this.#bytes;
    const fields = new FieldScan(bytes, this.#from, this.#to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field !== this.#field || fields.type !== WireType.LEN) continue;
      const entry = wellFormedEntryOf(bytes, fields.from, fields.to);
      if (entry === undefined) continue;
      table.set(
        lowerAscii(bytes.toString('utf8', entry.keyFrom, entry.keyTo)),
        bytes.toString('utf8', entry.valueFrom, entry.valueTo),
      );
    }
    if (this.#others !== undefined)
      for (const [name, value] of this.#others()) if (!table.has(name)) table.set(name, value);
    this.#bytes = NOTHING;
    return (this.#table = table);
  }
}

/** `instanceof` looks at the prototype; extending Map would allocate an empty hash table for each call. */
Object.setPrototypeOf(HeaderMap.prototype, Map.prototype);

const NOTHING = Buffer.alloc(0);
const KEY = (1 << 3) | WireType.LEN;
const VALUE = (2 << 3) | WireType.LEN;

interface Entry {
  readonly keyFrom: number;
  readonly keyTo: number;
  readonly valueFrom: number;
  readonly valueTo: number;
}

/** The ranges of the key and the value of a map's entry; the last of each counts, and an absent one is empty. */
export function entryOf(bytes: Uint8Array, from: number, to: number): Entry {
  const fields = new FieldScan(bytes, from, to);
  let keyFrom = from;
  let keyTo = from;
  let valueFrom = from;
  let valueTo = from;
  for (let field = fields.next(); field !== 0; field = fields.next()) {
    if (fields.type !== WireType.LEN) continue;
    if (field === 1) {
      keyFrom = fields.from;
      keyTo = fields.to;
    } else if (field === 2) {
      valueFrom = fields.from;
      valueTo = fields.to;
    }
  }
  return { keyFrom, keyTo, valueFrom, valueTo };
}

/** `undefined` for a malformed entry, so that the other entries of its map can be read. */
export function wellFormedEntryOf(bytes: Uint8Array, from: number, to: number): Entry | undefined {
  try {
    return entryOf(bytes, from, to);
  } catch (error) {
    return absentWhereMalformed(error);
  }
}

const isAscii = (text: string): boolean => {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return false;
  return true;
};

/** Header names are ASCII (RFC 9110 section 5.1); others stay as they are. */
export const lowerAscii = (name: string): string => (isAscii(name) ? name.toLowerCase() : name);

function isNamed(bytes: Uint8Array, from: number, to: number, name: string): boolean {
  if (to - from !== name.length) return false;
  for (let at = 0; at < name.length; at++) {
    const byte = bytes[from + at] as number;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== name.charCodeAt(at)) return false;
  }
  return true;
}
