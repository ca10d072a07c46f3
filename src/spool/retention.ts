/**
 * Which segments of a spool stay on the disk.
 * **In**: the segments, and what is acknowledged. **Out**: their size; the ones that are too old or have to make room, counted.
 * **Fails**: to remove one, if the disk does.
 */
import { rm } from 'node:fs/promises';
import type { RecordAge } from './record-age.ts';
import type { Segment } from './segment.ts';
import type { SpoolOptions } from './types.ts';

export class Retention {
  /** Oldest first; the writer extends it. */
  readonly segments: Segment[];
  readonly #maxBytes: number;
  readonly #dropsOldest: boolean;
  readonly #age: RecordAge;
  droppedByAge = 0;
  droppedWhenFull = 0;

  constructor(segments: Segment[], { maxBytes, whenFull }: SpoolOptions, age: RecordAge) {
    this.segments = segments;
    this.#maxBytes = maxBytes;
    this.#dropsOldest = whenFull === 'drop-oldest';
    this.#age = age;
  }

  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get isFull(): boolean {
    return this.bytes >= this.#maxBytes;
  }

  /** The segment with this record. */
  of(sequence: number): Segment | undefined {
    return this.segments.find(({ last }) => last >= sequence);
  }

  /** The last record of the oldest segments that are too old, or have to make room; `undefined`: all stay. */
  dropThrough(active: Segment | undefined, acknowledged: number, taken: number): number | undefined {
    let through: number | undefined;
    for (const segment of this.segments) {
      const done = through ?? acknowledged;
      if (segment === active) break;
      if (segment.last <= done) continue;
      const isTooOld = this.#age.isTooOld(segment.lastAtMs);
      const left = this.segments.reduce((sum, { last, bytes }) => sum + (last <= done ? 0 : bytes), 0);
      if (!isTooOld && !(this.#dropsOldest && left >= this.#maxBytes)) break;
      const dropped = Math.max(0, segment.last - Math.max(done, taken));
      if (isTooOld) this.droppedByAge += dropped;
      else this.droppedWhenFull += dropped;
      through = segment.last;
    }
    return through;
  }

  /** Removes the oldest segments, all of whose records are up to `through`, while `mayRemove` and more than `least` are left. */
  async remove(
    through: number,
    active: () => Segment | undefined,
    least: number,
    mayRemove: () => boolean,
  ): Promise<void> {
    while (this.segments.length > least && mayRemove()) {
      const oldest = this.segments[0];
      if (oldest === undefined || oldest === active() || oldest.last > through) return;
      await rm(oldest.path, { force: true, recursive: true });
      this.segments.shift();
    }
  }
}
