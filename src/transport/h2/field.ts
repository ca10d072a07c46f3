/** A header field, classified once, since a connection repeats its fields. */

import { Buffer } from 'node:buffer'; // `globalThis.Buffer` is a getter

/** The role of a field in a request. OTHER fields do not affect how a request is handled. */
export const FieldKind = {
  OTHER: 0,
  METHOD: 1,
  SCHEME: 2,
  PATH: 3,
  AUTHORITY: 4,
  CONTENT_TYPE: 5,
  CONTENT_LENGTH: 6,
  TE: 7,
  UNKNOWN_PSEUDO: 8,
  FORBIDDEN: 9,
  GRPC: 10,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

const KINDS: ReadonlyMap<string, FieldKind> = new Map<string, FieldKind>([
  [':method', FieldKind.METHOD],
  [':scheme', FieldKind.SCHEME],
  [':path', FieldKind.PATH],
  [':authority', FieldKind.AUTHORITY],
  ['content-type', FieldKind.CONTENT_TYPE],
  ['content-length', FieldKind.CONTENT_LENGTH],
  ['te', FieldKind.TE],
  ['grpc-timeout', FieldKind.GRPC],
  ['grpc-encoding', FieldKind.GRPC],
  // RFC 9113 section 8.2.2: connection-specific fields are malformed.
  ...['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'].map(
    (name) => [name, FieldKind.FORBIDDEN] as const,
  ),
]);

/** A token (RFC 9110 section 5.6.2) in lower case (RFC 9113 section 8.2.1). */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

export function kindOf(name: string): FieldKind {
  const kind = KINDS.get(name);
  if (kind !== undefined) return kind;
  if (name.startsWith(':')) return FieldKind.UNKNOWN_PSEUDO;
  return NAME.test(name) ? FieldKind.OTHER : FieldKind.FORBIDDEN;
}

/** Bytes below it are rare in values, and include all forbidden ones. */
export const LOW_BYTES = 0x0e;

/** No NUL, CR or LF, and no blank at either end (RFC 9113 section 8.2.1). `hasLow`: it may contain {@link LOW_BYTES}. */
function isValue(bytes: Uint8Array, from: number, to: number, hasLow: boolean): boolean {
  if (from === to) return true;
  const first = bytes[from];
  const last = bytes[to - 1];
  if (first === 0x20 || first === 0x09 || last === 0x20 || last === 0x09) return false;
  if (hasLow)
    for (let at = from; at < to; at++) {
      const byte = bytes[at] as number;
      if (byte === 0 || byte === 0x0a || byte === 0x0d) return false;
    }
  return true;
}

/** Up to here a text is made faster from its characters; a longer one would take 32 bytes for each, as a chain of texts. */
const SHORT_BYTES = 12;

/** One character per byte. */
function latin1(bytes: Uint8Array, from: number, to: number): string {
  if (to - from > SHORT_BYTES) return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

export class Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly isValid: boolean;
  /** RFC 7541 section 4.1. */
  readonly size: number;
  /** The range of the value. */
  readonly #bytes: Uint8Array;
  readonly #from: number;
  readonly #to: number;
  #value: string | undefined;

  /** The bytes of the value must not change. `hasLow`: it may contain {@link LOW_BYTES}. */
  constructor(name: string, kind: FieldKind, bytes: Uint8Array, from: number, to: number, hasLow: boolean) {
    this.name = name;
    this.kind = kind;
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.isValid = isValue(bytes, from, to, hasLow);
    this.size = name.length + to - from + 32;
  }

  /** Decoded when first read. */
  get value(): string {
    return (this.#value ??= latin1(this.#bytes, this.#from, this.#to));
  }

  hasValue(bytes: Uint8Array, from: number, to: number): boolean {
    const own = this.#bytes;
    const ownFrom = this.#from;
    if (to - from !== this.#to - ownFrom) return false;
    for (let at = to - from - 1; at >= 0; at--) if (own[ownFrom + at] !== bytes[from + at]) return false;
    return true;
  }

  /** The same name and the same bytes. */
  isSame(other: Field): boolean {
    if (this === other) return true;
    return this.name === other.name && this.hasValue(other.#bytes, other.#from, other.#to);
  }
}
