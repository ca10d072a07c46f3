/**
 * The cursor: the sequence of the last acknowledged record, in two slots that are written in turn, so that one of them is whole after
 * a crash. A lost cursor means that records are delivered again, never that one is lost.
 */
import { type FileHandle, open, rename } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { RESOURCES, writeWhole } from './segment.ts';

const SLOT_BYTES = 32;
const CHECKED_FROM = 4;
const CHECKED_TO = 20;

export class Cursor {
  readonly #file: FileHandle;
  #generation: number;
  #saved: number;

  private constructor(file: FileHandle, generation: number, saved: number) {
    this.#file = file;
    this.#generation = generation;
    this.#saved = saved;
  }

  /** 0 if there is none, or no slot is whole. */
  static async open(folder: string): Promise<Cursor> {
    const path = join(folder, 'cursor');
    const file = await open(path, 'r+').catch(async (error: NodeJS.ErrnoException) => {
      if (RESOURCES.has(error.code)) throw error; // it is not to blame, and all records would be delivered again
      await rename(path, `${path}.bad-${randomUUID()}`).catch(() => undefined); // a folder, or a file that may not be written
      return open(path, 'wx+');
    });
    const { generation, sequence } = await newestOf(file);
    // Takes its place on the disk now: on a disk that is full, the cursor has to move before anything can be removed.
    if ((await file.stat()).size < 2 * SLOT_BYTES)
      await file.write(Buffer.alloc(2 * SLOT_BYTES), 0, 2 * SLOT_BYTES, 0).catch(() => undefined);
    return new Cursor(file, generation, sequence);
  }

  /** What is saved, also beside its writer. Rejects while the process is short of {@link RESOURCES}. */
  static async read(folder: string): Promise<number> {
    const file = await open(join(folder, 'cursor'), 'r').catch((error: NodeJS.ErrnoException) => {
      if (RESOURCES.has(error.code)) throw error;
      return undefined;
    });
    if (file === undefined) return 0;
    try {
      return (await newestOf(file)).sequence;
    } finally {
      await file.close();
    }
  }

  /** The last sequence that is synced. */
  get saved(): number {
    return this.#saved;
  }

  /** Durable when it settles. One at a time. */
  async save(sequence: number): Promise<void> {
    const slot = Buffer.alloc(SLOT_BYTES);
    slot.writeBigUInt64LE(BigInt(++this.#generation), 4);
    slot.writeBigUInt64LE(BigInt(sequence), 12);
    slot.writeUInt32LE(crc32(slot.subarray(CHECKED_FROM, CHECKED_TO)), 0);
    await writeWhole(this.#file, slot, 0, SLOT_BYTES, (this.#generation % 2) * SLOT_BYTES);
    await this.#file.datasync();
    this.#saved = sequence;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function newestOf(file: FileHandle): Promise<{ readonly generation: number; readonly sequence: number }> {
  const slots = Buffer.alloc(2 * SLOT_BYTES);
  await file.read(slots, 0, slots.length, 0).catch(() => undefined);
  let newest = { generation: 0, sequence: 0 };
  for (const at of [0, SLOT_BYTES]) {
    if (crc32(slots.subarray(at + CHECKED_FROM, at + CHECKED_TO)) !== slots.readUInt32LE(at)) continue;
    const generation = Number(slots.readBigUInt64LE(at + 4));
    const sequence = Number(slots.readBigUInt64LE(at + 12));
    if (generation > newest.generation && Number.isSafeInteger(sequence)) newest = { generation, sequence };
  }
  return newest;
}
