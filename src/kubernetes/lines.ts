/** Lines of a watch. A line without an end, as a cut connection leaves it, is never delivered. */
const NEWLINE = 0x0a;

export class Lines {
  readonly #maxBytes: number;
  readonly #onOversized: () => void;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  /** Lines over `maxBytes` are skipped. */
  constructor(maxBytes: number, onOversized: () => void) {
    this.#maxBytes = maxBytes;
    this.#onOversized = onOversized;
  }

  /** The lines that end in this chunk, without empty ones. */
  *take(chunk: Buffer): Generator<string> {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, at));
      from = at + 1;
      const isOversized = this.#bytes > this.#maxBytes;
      const line = Buffer.concat(this.#parts).toString();
      this.#parts.length = 0;
      this.#bytes = 0;
      if (isOversized) this.#onOversized();
      else if (line.trim() !== '') yield line;
    }
    this.#keep(chunk.subarray(from));
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#maxBytes) this.#parts.length = 0;
    else this.#parts.push(part);
  }
}
