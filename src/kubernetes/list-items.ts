/**
 * Takes a List apart while it arrives: each item is parsed by itself, so that a list of any size neither blocks the event loop nor is in
 * memory as a whole.
 */

/** A List without its items. */
export interface ListEnvelope {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d];
/** Effect of a byte outside of text on the depth. */
const OPENS = new Int8Array(256);
OPENS[OPEN_BRACE] = OPENS[OPEN_BRACKET] = 1;
OPENS[CLOSE_BRACE] = OPENS[CLOSE_BRACKET] = -1;

const MAX_ENVELOPE_BYTES = 1024 * 1024;
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

  /** The items that end in this chunk, as JSON. Take all of them before the next chunk. Throws if this is not a List. */
  *take(chunk: Buffer): Generator<string> {
    let from = 0; // of the bytes that are not kept yet
    for (let at = 0; at < chunk.length; at++) {
      at = this.#nextBracket(chunk, at);
      if (at === chunk.length) break;
      if (!this.#isInItems) {
        if (this.#depth !== 2 || chunk[at] !== OPEN_BRACKET) continue;
        this.#keepEnvelope(chunk.subarray(from, at));
        from = at;
        this.#isInItems = this.#isAtItems();
      } else if (this.#depth === 3 && OPENS[chunk[at] ?? 0] === 1) from = at;
      else if (this.#depth === 2) {
        const item = this.#endItem(chunk.subarray(from, at + 1));
        if (item !== undefined) yield item;
      } else if (this.#depth === 1) {
        this.#isInItems = false;
        this.#keepEnvelope(EMPTY_ITEMS);
        from = at + 1;
      }
    }
    if (!this.#isInItems) this.#keepEnvelope(chunk.subarray(from));
    else if (this.#depth > 2) this.#keepItem(chunk.subarray(from));
  }

  /** The rest of the List, once all chunks were taken. Throws if it is cut off. */
  end(): ListEnvelope {
    const text = Buffer.concat(this.#envelope).toString();
    try {
      if (this.#depth === 0) return JSON.parse(text) as ListEnvelope;
    } catch {
      // as below
    }
    throw new Error(`the list is not whole JSON; it begins with ${JSON.stringify(text.slice(0, 60))}`);
  }

  /** The next bracket that `take` acts on, at `from` or later; the chunk's length if there is none. Brackets within an item are skipped. */
  #nextBracket(chunk: Buffer, from: number): number {
    const { length } = chunk;
    const deepest = this.#isInItems ? 3 : 2;
    let at = from;
    let depth = this.#depth;
    let isInText = this.#isInText; // locals, since the loop runs once per byte
    let isEscaped = this.#isEscaped;
    for (; at < length; at++) {
      const byte = chunk[at] ?? 0;
      if (isInText) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) isInText = false;
      } else if (byte === QUOTE) isInText = true;
      else {
        const opens = OPENS[byte] ?? 0;
        if (opens === 0) continue;
        depth += opens;
        if (depth < deepest || (depth === deepest && opens === 1)) break;
      }
    }
    this.#depth = depth;
    this.#isInText = isInText;
    this.#isEscaped = isEscaped;
    return at;
  }

  #isAtItems(): boolean {
    return /"items"\s*:\s*$/.test(Buffer.concat(this.#envelope.slice(-PARTS_BEFORE_ITEMS)).toString('latin1'));
  }

  #keepEnvelope(part: Buffer): void {
    this.#envelopeBytes += part.length;
    if (this.#envelopeBytes > MAX_ENVELOPE_BYTES) throw new Error('the answer is not a list of objects');
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
