import type { FileHandle } from 'node:fs/promises';

export interface WrittenFrame {
  readonly bytes: Buffer;
  /** Sequence of its last record. */
  readonly last: number;
  readonly atMs: number;
}

/** Written frames that are not synced; they are written again if their sync fails. */
export class UnsyncedFrames {
  #frames: WrittenFrame[] = [];
  bytes = 0;
  /** The last sequence that is synced. */
  synced: number;
  syncs = 0;
  syncMs = 0;
  longestSyncMs = 0;

  constructor(synced: number) {
    this.synced = synced;
  }

  /** Sequence of the last record; `undefined`: all is synced. */
  get last(): number | undefined {
    return this.#frames.at(-1)?.last;
  }

  add(frame: WrittenFrame): void {
    this.#frames.push(frame);
    this.bytes += frame.bytes.length;
  }

  /** A copy, since a sync may end meanwhile. */
  frames(): readonly WrittenFrame[] {
    return this.#frames.slice();
  }

  /** Syncs what is written to the file now. Rejects if the disk fails. */
  async sync(file: FileHandle): Promise<void> {
    const { last } = this;
    if (last === undefined) return;
    const count = this.#frames.length;
    const beganAtMs = performance.now();
    await file.datasync();
    const tookMs = performance.now() - beganAtMs;
    this.syncs++;
    this.syncMs += tookMs;
    this.longestSyncMs = Math.max(this.longestSyncMs, tookMs);
    this.synced = Math.max(this.synced, last);
    for (const { bytes } of this.#frames.splice(0, count)) this.bytes -= bytes.length;
  }
}
