/**
 * Takes a List apart while it arrives: each item is parsed by itself, so that a list of any size neither blocks the event loop nor is in
 * memory as a whole.
 */

/** What surrounds the items of a List. */
export interface ListEnvelope {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d];
const MOST_ENVELOPE_BYTES = 1024 * 1024;
const EMPTY_ITEMS = Buffer.from('[]');
/** `"items" :`, even if each byte came by itself. */
const PARTS_BEFORE_ITEMS = 16;

export class ListItems {
  readonly #maxItemBytes: number;
  readonly #onOversized: () => void;
  readonly #envelope: Buffer[] = [];
  #envelopeBytes = 0;
  readonly #item: Buffer[] = [];
  #itemBytes = 0;
  /** Open braces and brackets: 1 in the List, 2 in its items, 3 and more in an item. */
  #depth = 0;
  #isInItems = false;
  #isInText = false;
  #isEscaped = false;

  /** Items over `maxItemBytes` are skipped. */
  constructor(maxItemBytes: number, onOversized: () => void) {
    this.#maxItemBytes = maxItemBytes;
    this.#onOversized = onOversized;
  }

  /** The items that end in this chunk, as JSON. Take all of them before the next chunk. Throws if this is no List. */
  *take(chunk: Buffer): Generator<string> {
    const { length } = chunk;
    let from = 0; // of the bytes that are not kept yet
    let depth = this.#depth; // locals, since the loop runs once per byte
    let isInText = this.#isInText;
    let isEscaped = this.#isEscaped;
    for (let at = 0; at < length; at++) {
      const byte = chunk[at];
      if (isInText) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) isInText = false;
      } else if (byte === QUOTE) isInText = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        depth++;
        if (this.#isInItems) {
          if (depth === 3) from = at;
        } else if (depth === 2 && byte === OPEN_BRACKET) {
          this.#keepEnvelope(chunk.subarray(from, at));
          from = at;
          this.#isInItems = this.#isAtItems();
        }
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        depth--;
        if (!this.#isInItems) continue;
        if (depth === 2) {
          const item = this.#endItem(chunk.subarray(from, at + 1));
          if (item !== undefined) yield item;
        } else if (depth === 1) {
          this.#isInItems = false;
          this.#keepEnvelope(EMPTY_ITEMS);
          from = at + 1;
        }
      }
    }
    this.#depth = depth;
    this.#isInText = isInText;
    this.#isEscaped = isEscaped;
    if (!this.#isInItems) this.#keepEnvelope(chunk.subarray(from));
    else if (depth > 2) this.#keepItem(chunk.subarray(from));
  }

  /** The List without its items, once all chunks were taken. Throws if it is cut off. */
  end(): ListEnvelope {
    const text = Buffer.concat(this.#envelope).toString();
    try {
      if (this.#depth === 0) return JSON.parse(text) as ListEnvelope;
    } catch {
      // as below
    }
    throw new Error(`the list is not whole JSON; it begins with ${JSON.stringify(text.slice(0, 60))}`);
  }

  #isAtItems(): boolean {
    return /"items"\s*:\s*$/.test(Buffer.concat(this.#envelope.slice(-PARTS_BEFORE_ITEMS)).toString('latin1'));
  }

  #keepEnvelope(part: Buffer): void {
    this.#envelopeBytes += part.length;
    if (this.#envelopeBytes > MOST_ENVELOPE_BYTES) throw new Error('the answer is no list of objects');
    if (part.length > 0) this.#envelope.push(part);
  }

  #keepItem(part: Buffer): void {
    this.#itemBytes += part.length;
    if (this.#itemBytes > this.#maxItemBytes) this.#item.length = 0;
    else this.#item.push(part);
  }

  #endItem(part: Buffer): string | undefined {
    this.#keepItem(part);
    const isOversized = this.#itemBytes > this.#maxItemBytes;
    const text = this.#item.length === 1 ? part.toString() : Buffer.concat(this.#item).toString();
    this.#item.length = 0;
    this.#itemBytes = 0;
    if (!isOversized) return text;
    this.#onOversized();
    return undefined;
  }
}
