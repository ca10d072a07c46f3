/**
 * Reports as lines, each whole or not counted as written.
 * **In**: batches; one that failed or took too long comes again with the same ids. **Out**: lines, each once.
 * **Fails**: with the system's error; what was taken before it is remembered until the next batch.
 */
import type { ReportEntry } from 'sluice/plugin';
import { lineOf } from './line.ts';
import type { Append } from './taken.ts';

/** Rendered and written at a time, so that the event loop is not held long by a batch of large reports. */
const CHUNK_CHARACTERS = 256 * 1024;

export class Lines {
  readonly #append: Append;
  /** One batch after the other: a batch that comes again waits for itself. */
  #last: Promise<void> = Promise.resolve();
  /** Of the last batch. */
  #written: ReadonlySet<string> = new Set();
  #waiting = 0;
  /** The last line is cut; it is ended before the next one. */
  #isTorn = false;

  constructor(append: Append) {
    this.#append = append;
  }

  /** Batches that are not settled. */
  get waiting(): number {
    return this.#waiting;
  }

  write(entries: readonly ReportEntry<string>[]): Promise<void> {
    this.#waiting += 1;
    const written = this.#last
      .then(() => this.#writeBatch(entries))
      .finally(() => {
        this.#waiting -= 1;
      });
    this.#last = written.catch(() => undefined);
    return written;
  }

  /** Resolves when no batch waits. */
  flush(): Promise<void> {
    return this.#last;
  }

  async #writeBatch(entries: readonly ReportEntry<string>[]): Promise<void> {
    const before = this.#written;
    const written = new Set<string>();
    this.#written = written;
    const fresh = entries.filter(({ id }) => !before.has(id));
    for (const { id } of entries) if (before.has(id)) written.add(id);
    for (const chunk of chunksOf(fresh)) await this.#writeChunk(chunk, written);
  }

  async #writeChunk(lines: readonly Line[], written: Set<string>): Promise<void> {
    let end = this.#isTorn ? 1 : 0;
    const { octets, error } = await this.#append(
      Buffer.from((this.#isTorn ? '\n' : '') + lines.map(({ text }) => text).join('')),
    );
    if (octets >= end) this.#isTorn = false;
    for (const { id, text } of lines) {
      const start = end;
      end += Buffer.byteLength(text);
      if (octets >= end) written.add(id);
      else if (octets > start) this.#isTorn = true;
    }
    if (error !== undefined) throw error;
  }
}

interface Line {
  readonly id: string;
  readonly text: string;
}

function* chunksOf(entries: readonly ReportEntry<string>[]): Generator<readonly Line[]> {
  let lines: Line[] = [];
  let characters = 0;
  for (const entry of entries) {
    const text = lineOf(entry);
    lines.push({ id: entry.id, text });
    characters += text.length;
    if (characters < CHUNK_CHARACTERS) continue;
    yield lines;
    lines = [];
    characters = 0;
  }
  if (lines.length > 0) yield lines;
}
