import { StringDecoder } from 'node:string_decoder';

/** Characters of a line; of a longer one nothing else is read, since a text without a newline would fill the memory. */
const MAX_LINE = 4096;

/** Splits the output of a process into lines. */
export class PrintedLines {
  readonly #take: (line: string) => void;
  readonly #decoder = new StringDecoder();
  #line = '';
  /** The line was too long, and is taken already. */
  #isTaken = false;

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  push(chunk: Buffer): void {
    const [first = '', ...others] = this.#decoder.write(chunk).split('\n');
    this.#add(first);
    for (const more of others) {
      this.end();
      this.#add(more);
    }
  }

  /** Takes what follows the last newline, too. */
  end(): void {
    const line = this.#line;
    this.#line = '';
    this.#isTaken = false;
    if (line !== '') this.#take(line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  #add(text: string): void {
    if (this.#isTaken) return;
    this.#line += text;
    if (this.#line.length <= MAX_LINE) return;
    this.#line = `${this.#line.slice(0, MAX_LINE)}...`;
    this.end();
    this.#isTaken = true;
  }
}
