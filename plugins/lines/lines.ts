/**
 * Reports as lines, each written whole or not counted as written.
 * **In**: batches; one that failed or timed out is retried with the same ids. **Out**: lines, each once.
 * **Fails**: with the system's error; entries written before it are remembered until the next batch.
 */
import type { ReportEntry } from 'sluice/plugin';
import type { Append } from './append.ts';

/** Rendered and written at a time, so that a batch of large reports does not hold the event loop. */
const CHUNK_CHARACTERS = 256 * 1024;

interface Line {
  readonly id: string;
  readonly text: string;
}

export class Lines {
  readonly #append: Append;
  readonly #lineOf: (entry: ReportEntry<string>) => string;
  /** Batches are written one after the other; a retried batch waits for its first attempt. */
  #last: Promise<void> = Promise.resolve();
  /** Ids of the last batch. */
  #written: ReadonlySet<string> = new Set();
  #pending = 0;
  /** The last line is incomplete; a line end is written before the next one. */
  #isTorn = false;

  constructor(append: Append, lineOf: (entry: ReportEntry<string>) => string) {
    this.#append = append;
    this.#lineOf = lineOf;
  }

  /** Batches that are not settled. */
  get pending(): number {
    return this.#pending;
  }

  write(entries: readonly ReportEntry<string>[]): Promise<void> {
    this.#pending += 1;
    const written = this.#last
      .then(() => this.#writeBatch(entries))
      .finally(() => {
        this.#pending -= 1;
      });
    this.#last = written.catch(() => undefined);
    return written;
  }

  /** Resolves when no batch is pending. */
  flush(): Promise<void> {
    return this.#last;
  }

  async #writeBatch(entries: readonly ReportEntry<string>[]): Promise<void> {
    const before = this.#written;
    const written = new Set<string>();
    this.#written = written;
    const fresh = entries.filter(({ id }) => !before.has(id));
    for (const { id } of entries) if (before.has(id)) written.add(id);
    for (const chunk of this.#chunksOf(fresh)) await this.#writeChunk(chunk, written);
  }

  async #writeChunk(lines: readonly Line[], written: Set<string>): Promise<void> {
    let end = this.#isTorn ? 1 : 0;
    const { bytes, error } = await this.#append(
      Buffer.from((this.#isTorn ? '\n' : '') + lines.map(({ text }) => text).join('')),
    );
    if (bytes >= end) this.#isTorn = false;
    for (const { id, text } of lines) {
      const start = end;
      end += Buffer.byteLength(text);
      if (bytes >= end) written.add(id);
      else if (bytes > start) this.#isTorn = true;
    }
    if (error !== undefined) throw error;
  }

  *#chunksOf(entries: readonly ReportEntry<string>[]): Generator<readonly Line[]> {
    let lines: Line[] = [];
    let characters = 0;
    for (const entry of entries) {
      const text = this.#lineOf(entry);
      lines.push({ id: entry.id, text });
      characters += text.length;
      if (characters < CHUNK_CHARACTERS) continue;
      yield lines;
      lines = [];
      characters = 0;
    }
    if (lines.length > 0) yield lines;
  }
}
