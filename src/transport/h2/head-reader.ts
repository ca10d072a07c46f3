/**
 * **In**: the encoded header blocks of a connection. **Out**: heads of requests. **Fails**: with a {@link ConnectionError}
 * if a block cannot be decoded or is too large to decode.
 */
import { ConnectionError, ErrorCode } from './frames.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { copyOf } from './byte-arena.ts';
import type { Limits } from '../limits.ts';
import { requestHead, type RequestHead, trailersProblem } from './request-head.ts';

/** Number of heads cached by the bytes of their block; a client calls few methods. */
const KNOWN = 8;

interface Known {
  readonly epoch: number;
  readonly bytes: Uint8Array;
  readonly head: RequestHead;
}

/** A header block that arrives in several frames: HEADERS and its CONTINUATIONs. */
export class HeaderBlock {
  readonly id: number;
  readonly isEnd: boolean;
  readonly dependsOnItself: boolean;
  bytes = new Uint8Array(0);
  length = 0;
  readonly #mostBytes: number;

  constructor(id: number, isEnd: boolean, dependsOnItself: boolean, mostBytes: number) {
    this.id = id;
    this.isEnd = isEnd;
    this.dependsOnItself = dependsOnItself;
    this.#mostBytes = mostBytes;
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    const length = this.length + to - from;
    if (length > this.#mostBytes)
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `a header block of more than ${this.#mostBytes} bytes`);
    if (length > this.bytes.length) {
      const larger = new Uint8Array(Math.min(this.#mostBytes, Math.max(length, this.bytes.length * 2)));
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes.set(bytes.subarray(from, to), this.length);
    this.length = length;
  }
}

export class HeadReader {
  readonly #decoder: HpackDecoder;
  readonly #mostBlockBytes: number;
  readonly #known: Known[] = [];
  #nextKnown = 0;
  #last: RequestHead | undefined;

  constructor({ maxHeaderListBytes, maxHeaderBlockBytes }: Limits) {
    this.#decoder = new HpackDecoder(maxHeaderListBytes);
    this.#mostBlockBytes = maxHeaderBlockBytes;
  }

  beginBlock(id: number, isEnd: boolean, dependsOnItself: boolean): HeaderBlock {
    return new HeaderBlock(id, isEnd, dependsOnItself, this.#mostBlockBytes);
  }

  /** `undefined` if it is larger than allowed; a text is the reason why it is malformed. */
  head(bytes: Uint8Array, from: number, to: number): RequestHead | string | undefined {
    const { epoch } = this.#decoder;
    for (const known of this.#known)
      if (known.epoch === epoch && isSame(known.bytes, bytes, from, to)) return known.head;
    const fields = this.#decoder.decode(bytes, from, to);
    if (fields === undefined) return undefined;
    const head = this.#last?.withFields(fields) ?? requestHead(fields);
    if (typeof head !== 'string') this.#last = head;
    // A block that changes the table has another meaning the next time.
    if (typeof head !== 'string' && this.#decoder.epoch === epoch) {
      this.#known[this.#nextKnown] = { epoch, bytes: copyOf(bytes, from, to), head };
      this.#nextKnown = (this.#nextKnown + 1) % KNOWN;
    }
    return head;
  }

  trailersProblem(bytes: Uint8Array, from: number, to: number): string | undefined {
    const fields = this.#decoder.decode(bytes, from, to);
    return fields === undefined ? 'they are too large' : trailersProblem(fields);
  }
}

function isSame(known: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  if (known.length !== to - from) return false;
  for (let at = 0; at < known.length; at++) if (known[at] !== bytes[from + at]) return false;
  return true;
}
