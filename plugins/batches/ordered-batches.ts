/**
 * Batches of reports, one after the other; the retry of a batch waits for its last attempt.
 * **In**: a batch, and how it is written. **Out**: settles as the writing does. **Fails**: as the writing does; the next batch still runs.
 */
export class OrderedBatches {
  #last: Promise<unknown> = Promise.resolve();
  /** Ids of the last batch that are written. */
  #written: ReadonlySet<string> = new Set();
  #pending = 0;

  /** Batches that are not settled. */
  get pending(): number {
    return this.#pending;
  }

  /** `write` skips the ids in `written`, which an earlier attempt has written, and adds those that it has written itself. */
  run<E extends { readonly id: string }>(
    entries: readonly E[],
    write: (entries: readonly E[], written: Set<string>) => Promise<void>,
  ): Promise<void> {
    this.#pending++;
    const done = this.#last
      .then(() => {
        const before = this.#written;
        const written = new Set<string>();
        for (const { id } of entries) if (before.has(id)) written.add(id);
        this.#written = written;
        return write(entries, written);
      })
      .finally(() => {
        this.#pending--;
      });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Settles when no batch is pending. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
