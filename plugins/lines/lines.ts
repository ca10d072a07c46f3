/**
 * Reports as lines, each written whole or not counted as written.
 * **In**: batches; one that failed or timed out is retried with the same ids. **Out**: lines, each once.
 * **Fails**: with the system's error; entries written before it are remembered until the next batch.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReportEntry } from 'sluice/plugin';
import { OrderedBatches } from '../batches/ordered-batches.ts';
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
  readonly #batches = new OrderedBatches();
  /** The last line is incomplete; a line end is written before the next one. */
  #isTorn = false;

  constructor(append: Append, lineOf: (entry: ReportEntry<string>) => string) {
    this.#append = append;
    this.#lineOf = lineOf;
  }

  /** Batches that are not settled. */
  get pending(): number {
    return this.#batches.pending;
  }

  write(entries: readonly ReportEntry<string>[]): Promise<void> {
    return this.#batches.run(entries, async (batch, written) => {
      const fresh = batch.filter(({ id }) => !written.has(id));
      for (const chunk of this.#chunksOf(fresh)) await this.#writeChunk(chunk, written);
    });
  }

  /** Waits until no batch is pending, at most `ms`. */
  async flush(ms: number): Promise<void> {
    const late = new AbortController();
    await Promise.race([this.#batches.idle(), sleep(ms, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
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
