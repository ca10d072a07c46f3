/** Bytes of a connection so far. */
export interface ByteTotals {
  readonly received: bigint;
  readonly sent: bigint;
}

export const NO_TOTALS: ByteTotals = { received: 0n, sent: 0n };

const MAX_CONNECTIONS = 100_000;
/** Far longer than any interval of periodic entries. */
const MAX_SILENT_MS = 3_600_000;

interface LastEntry {
  readonly totals: ByteTotals;
  readonly atMs: number;
}

/**
 * The totals of the last entry of each connection that lasts, since Envoy logs totals and counters need differences.
 * **In**: the totals of each entry. **Out**: those of the entry before it. **Fails**: never; a connection that is not known
 * begins at zero, or at its own totals if its entries went elsewhere before.
 */
export class ConnectionBytes {
  /** Oldest entry first. */
  readonly #last = new Map<string, LastEntry>();
  readonly #nowMs: () => number;

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#last.size;
  }

  /** `id`: unique among the connections of all proxies. `isOld`: whether a connection without an entry here had some elsewhere. */
  before(id: string, totals: ByteTotals, isInterim: boolean, isOld: () => boolean = () => false): ByteTotals {
    const last = this.#last.get(id);
    if (last !== undefined) this.#last.delete(id); // inserted again as the newest
    if (isInterim) {
      const nowMs = this.#nowMs();
      this.#last.set(id, { totals, atMs: nowMs });
      this.#evict(nowMs);
    }
    return last?.totals ?? (isOld() ? totals : NO_TOTALS);
  }

  #evict(nowMs: number): void {
    for (const [id, { atMs }] of this.#last) {
      if (this.#last.size <= MAX_CONNECTIONS && nowMs - atMs <= MAX_SILENT_MS) return;
      this.#last.delete(id);
    }
  }
}
