/** Memory that a handler's thread and its host share: whether the thread's event loop turns, and how much it keeps outside of its heap. */
import { getHeapStatistics } from 'node:v8';

const BEATS = 0;
const EXTERNAL_KIB = 1;

/** How often the thread gives a sign, and the host looks for one. */
export const BEAT_MS = 100;

export class VitalSigns {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  // ---------------------------------------------------------- the thread's side

  beat(): void {
    Atomics.add(this.#words, BEATS, 1);
  }

  /** Buffers and the like, in this thread. */
  noteMemory(): void {
    Atomics.store(this.#words, EXTERNAL_KIB, Math.floor(getHeapStatistics().external_memory / 1024));
  }

  // ---------------------------------------------------------- the host's side

  get beats(): number {
    return Atomics.load(this.#words, BEATS);
  }

  get externalBytes(): number {
    return Atomics.load(this.#words, EXTERNAL_KIB) * 1024;
  }
}
