import type { Stream } from './stream.ts';

/** Of streams that are over: what still comes for one that we ended is no error. */
const REMEMBERED = 256;

/** The streams of a connection: those that are open, and how the last ones ended. */
export class StreamTable {
  readonly #streams = new Map<number, Stream>();
  /** Most streams are over before the next one comes: the last one is not in the map. */
  #newest: Stream | undefined;
  /** How many are open. */
  size = 0;
  /** The highest that the peer has opened. */
  lastId = 0;
  /** Ids of streams that are over, negative where we ended them before the peer had. */
  readonly #over = new Int32Array(REMEMBERED);
  #overAt = 0;

  get(id: number): Stream | undefined {
    const newest = this.#newest;
    return newest !== undefined && newest.id === id ? newest : this.#streams.get(id);
  }

  all(): Stream[] {
    return this.#newest === undefined ? [...this.#streams.values()] : [...this.#streams.values(), this.#newest];
  }

  /** Those that are open; what `visit` closes is left out, what it opens too. */
  each(visit: (stream: Stream) => void): void {
    const newest = this.#newest;
    for (const stream of this.#streams.values()) visit(stream);
    if (newest !== undefined && !newest.isClosed) visit(newest);
  }

  add(stream: Stream): void {
    if (this.#newest !== undefined) this.#streams.set(this.#newest.id, this.#newest);
    this.#newest = stream;
    this.size++;
  }

  remove(stream: Stream, byUs: boolean): void {
    if (this.#newest === stream) this.#newest = undefined;
    else this.#streams.delete(stream.id);
    this.size--;
    this.remember(stream.id, byUs);
  }

  remember(id: number, byUs: boolean): void {
    this.#over[this.#overAt] = byUs ? -id : id;
    this.#overAt = (this.#overAt + 1) % REMEMBERED;
  }

  howOver(id: number): 'ended by us' | 'over' | 'unknown' {
    if (this.#over.includes(-id)) return 'ended by us';
    return this.#over.includes(id) ? 'over' : 'unknown';
  }
}
