import type { Stream } from './stream.ts';

/**
 * Number of ended streams that are remembered: late frames for a stream that we ended are not an error. As many as may be refused at once,
 * for which the budget of the connection allows, or be ended at once by their deadlines.
 */
const REMEMBERED = 1024;

/** The open streams of a connection, and how recent ones ended. */
export class StreamTable {
  readonly #streams = new Map<number, Stream>();
  /** Kept outside the map, since most streams end before the next one opens. */
  #newest: Stream | undefined;
  /** Open streams. */
  size = 0;
  /** The highest id that the peer has opened. */
  lastId = 0;
  /** A ring of ids of ended streams, negative if we ended them before the peer did. */
  readonly #ended = new Int32Array(REMEMBERED);
  #endedAt = 0;

  get(id: number): Stream | undefined {
    const newest = this.#newest;
    return newest !== undefined && newest.id === id ? newest : this.#streams.get(id);
  }

  all(): Stream[] {
    return this.#newest === undefined ? [...this.#streams.values()] : [...this.#streams.values(), this.#newest];
  }

  /** Visits the open streams, except those that `visit` closes or opens. */
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
    this.#ended[this.#endedAt] = byUs ? -id : id;
    this.#endedAt = (this.#endedAt + 1) % REMEMBERED;
  }

  endingOf(id: number): 'by us' | 'by the peer' | 'unknown' {
    if (this.#ended.includes(-id)) return 'by us';
    return this.#ended.includes(id) ? 'by the peer' : 'unknown';
  }
}
