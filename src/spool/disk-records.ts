/**
 * Records taken from the disk, frame by frame; nothing is read ahead but the rest of one frame.
 * **In**: frames, and what was taken. **Out**: the records after that, without those that are too old, which are counted.
 */
import type { Frame, ReadPosition, SegmentReader } from './reader.ts';
import type { RecordAge } from './record-age.ts';

interface Rest {
  readonly first: number;
  readonly atMs: number;
  readonly records: readonly Uint8Array[];
}

export interface FromDisk {
  readonly records: readonly Uint8Array[];
  readonly through: number;
  /** The first of them. */
  readonly oldest: { readonly sequence: number; readonly atMs: number } | undefined;
  /** All was read up to this sequence, the last that was written when the reader looked; `undefined`: there may be more. */
  readonly end: number | undefined;
}

export class DiskRecords {
  readonly #reader: SegmentReader;
  readonly #age: RecordAge;
  readonly #taken: () => number;
  readonly #written: () => number;
  #position: ReadPosition | undefined;
  /** The rest of a frame that was read. */
  #ahead: Rest | undefined;
  droppedByAge = 0;

  /** `taken`, `written`: the sequences of the last record that was taken or passed over, and that is written. */
  constructor(reader: SegmentReader, age: RecordAge, taken: () => number, written: () => number) {
    this.#reader = reader;
    this.#age = age;
    this.#taken = taken;
    this.#written = written;
  }

  /** When the next record was appended, if it is known. */
  get nextAtMs(): number | undefined {
    return this.#ahead?.atMs;
  }

  /** `undefined`: reads on where it is. */
  startAt(position: ReadPosition | undefined): void {
    this.#position = position;
    this.#ahead = undefined;
  }

  passOver(last: number): void {
    if (this.#ahead !== undefined && this.#ahead.first <= last) this.#ahead = undefined;
  }

  async take(maxRecords: number, maxBytes: number): Promise<FromDisk> {
    if (this.#position !== undefined) {
      await this.#reader.seek(this.#position);
      this.#position = undefined;
    }
    const records: Uint8Array[] = [];
    let through = this.#taken();
    let oldest: FromDisk['oldest'];
    let end: number | undefined;
    let bytes = 0;
    while (records.length < maxRecords && bytes < maxBytes) {
      const written = this.#written();
      const ahead = (this.#ahead ??= await this.#next((last) => (through = Math.max(through, this.#taken(), last))));
      if (ahead === undefined) {
        if (this.#written() === written) end = written;
        break;
      }
      oldest ??= { sequence: ahead.first, atMs: ahead.atMs };
      let at = 0;
      for (; at < ahead.records.length && records.length < maxRecords; at++) {
        const record = ahead.records[at] as Uint8Array;
        if (records.length > 0 && bytes + record.length > maxBytes) break;
        records.push(record);
        bytes += record.length;
      }
      through = ahead.first + at - 1;
      if (at === ahead.records.length) this.#ahead = undefined;
      else {
        this.#ahead = { ...ahead, first: ahead.first + at, records: ahead.records.slice(at) };
        break;
      }
    }
    return { records, through, oldest, end };
  }

  /** The next frame with records that were not taken and are not too old. `moved` takes a sequence and returns what is taken now. */
  async #next(moved: (last: number) => number): Promise<Rest | undefined> {
    for (;;) {
      const frame = await this.#reader.next();
      if (frame === undefined) return undefined;
      const rest = restOf(frame, moved(0));
      if (rest === undefined) continue;
      if (!this.#age.isTooOld(rest.atMs)) return rest;
      this.droppedByAge += rest.records.length;
      moved(rest.first + rest.records.length - 1);
    }
  }
}

function restOf({ first, count, atMs, records }: Frame, taken: number): Rest | undefined {
  const known = taken - first + 1;
  if (known >= count) return undefined;
  return known <= 0 ? { first, atMs, records } : { first: first + known, atMs, records: records.slice(known) };
}
