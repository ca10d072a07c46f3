import type { SpoolRecord } from './types.ts';

/** Records in memory, in order and without a gap. */
export class MemoryWindow<T> {
  readonly #records: SpoolRecord<T>[] = [];
  #head = 0;
  #bytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#maxBytes && this.#head < this.#records.length;
  }

  push(records: readonly SpoolRecord<T>[]): void {
    for (const record of records) {
      this.#records.push(record);
      this.#bytes += record.bytes.length;
    }
  }

  /** At least one record, if there is any; together at most `maxBytes`. */
  take(maxRecords: number, maxBytes: number): SpoolRecord<T>[] {
    const records: SpoolRecord<T>[] = [];
    let bytes = 0;
    while (this.#head < this.#records.length && records.length < maxRecords) {
      const record = this.#records[this.#head] as SpoolRecord<T>;
      if (records.length > 0 && bytes + record.bytes.length > maxBytes) break;
      records.push(record);
      bytes += record.bytes.length;
      this.#head++;
    }
    this.#bytes -= bytes;
    if (this.#head * 2 > this.#records.length) {
      this.#records.splice(0, this.#head);
      this.#head = 0;
    }
    return records;
  }

  drop(records: number): void {
    this.take(records, Infinity);
  }

  clear(): void {
    this.#records.length = this.#head = this.#bytes = 0;
  }
}
