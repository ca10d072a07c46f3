/**
 * Encodes the few header blocks that a gRPC server sends (HPACK, RFC 7541).
 *
 * The first reply puts two fields into the peer's table, `content-type: application/grpc` and `grpc-status: 0`, which take one byte each
 * from then on. Nothing is put into a table that is smaller than the default.
 */
import { percentEncoded } from '../percent.ts';

const bytesOf = (text: string): number[] => Array.from(text, (char) => char.charCodeAt(0));
/** A string literal without Huffman code (RFC 7541 section 5.2), of up to 16 511 bytes. */
function stringOf(text: string): number[] {
  const bytes = bytesOf(text);
  if (bytes.length < 127) return [bytes.length, ...bytes];
  const rest = bytes.length - 127;
  return rest < 128 ? [127, rest, ...bytes] : [127, (rest & 0x7f) | 0x80, rest >> 7, ...bytes];
}

const INDEXED = 0x80;
const WITH_INDEXING = 0x40;
const WITHOUT_INDEXING_NEW_NAME = 0x00;
const STATUS_200 = INDEXED | 8;
const CONTENT_TYPE = 31;
/** The newest entry of the dynamic table follows the 61 of the static one. */
const NEWEST = INDEXED | 62;
const OLDER = INDEXED | 63;

const literal = (name: string, value: string): number[] => [
  WITHOUT_INDEXING_NEW_NAME,
  ...stringOf(name),
  ...stringOf(value),
];
const GRPC = stringOf('application/grpc');

const PLAIN_HEAD = Uint8Array.from([STATUS_200, 0x0f, CONTENT_TYPE - 0x0f, ...GRPC]);
const PLAIN_OK = Uint8Array.from(literal('grpc-status', '0'));
const FIRST_HEAD = Uint8Array.from([STATUS_200, WITH_INDEXING | CONTENT_TYPE, ...GRPC]);
const FIRST_OK = Uint8Array.from([WITH_INDEXING, ...stringOf('grpc-status'), ...stringOf('0')]);
const ONLY_HEAD = Uint8Array.from([STATUS_200, NEWEST]);
const LATER_HEAD = Uint8Array.from([STATUS_200, OLDER]);
const LATER_OK = Uint8Array.from([NEWEST]);
/** A table size update to 0 (RFC 7541 section 6.3). */
const EMPTY_TABLE = 0x20;
const DEFAULT_TABLE_BYTES = 4096;

export class ReplyHeaders {
  /** Which of the two fields are in the peer's table. */
  #inTable: 'nothing' | 'head' | 'both' = 'nothing';
  #mayIndex = true;
  #owesTableUpdate = false;

  /** Takes SETTINGS_HEADER_TABLE_SIZE of the peer. */
  tableBytes(bytes: number): void {
    if (bytes >= DEFAULT_TABLE_BYTES || !this.#mayIndex) return;
    this.#mayIndex = false;
    this.#owesTableUpdate = true;
  }

  /** `:status: 200`, `content-type: application/grpc`. */
  head(): Uint8Array {
    if (!this.#mayIndex) return this.#after(PLAIN_HEAD);
    if (this.#inTable === 'both') return LATER_HEAD;
    if (this.#inTable === 'head') return ONLY_HEAD;
    this.#inTable = 'head';
    return FIRST_HEAD;
  }

  /** `grpc-status: 0`, after a head. */
  ok(): Uint8Array {
    if (!this.#mayIndex) return this.#after(PLAIN_OK);
    if (this.#inTable === 'both') return LATER_OK;
    this.#inTable = 'both';
    return FIRST_OK;
  }

  /** A status as trailers; with a head, as a reply of headers alone. */
  failed(code: number, details: string, withHead: boolean, richStatus?: Uint8Array): Uint8Array {
    return this.#after(
      Uint8Array.from([
        ...(withHead ? PLAIN_HEAD : []),
        ...literal('grpc-status', String(code)),
        ...(details === '' ? [] : literal('grpc-message', percentEncoded(details))),
        ...(richStatus === undefined
          ? []
          : literal('grpc-status-details-bin', Buffer.from(richStatus).toString('base64'))),
        ...(code === UNIMPLEMENTED ? literal('grpc-accept-encoding', 'identity,gzip') : []),
      ]),
    );
  }

  /** The head of a plain HTTP reply. */
  plain(status: number, contentLength: number): Uint8Array {
    return this.#after(
      Uint8Array.from([
        0x08,
        ...stringOf(String(status)),
        0x0f,
        CONTENT_TYPE - 0x0f,
        ...stringOf('text/plain; charset=utf-8'),
        0x0f,
        28 - 0x0f,
        ...stringOf(String(contentLength)),
      ]),
    );
  }

  /** A smaller table is acknowledged in the first block after it (RFC 7541 section 4.2). */
  #after(block: Uint8Array): Uint8Array {
    if (!this.#owesTableUpdate) return block;
    this.#owesTableUpdate = false;
    return Uint8Array.from([EMPTY_TABLE, ...block]);
  }
}

const UNIMPLEMENTED = 12;
