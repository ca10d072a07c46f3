/**
 * How many calls a client makes in a window, as a distribution over clients and windows.
 * **In**: host, client and time of calls, in any order. **Out**: percentiles. **Fails**: never.
 *
 * Counts are exact. Above `maxCounts` a part of the counters is kept, chosen by a hash of their key, so that each kept one is complete
 * and the choice does not depend on the order of calls.
 */
import { percentageSeed, percentOf } from '../../core/match/percentage.ts';

const SEED = percentageSeed('rates');

export interface Rate {
  /** Counters of a client in a window that it made calls in. */
  readonly windows: number;
  readonly clients: number;
  readonly p999: number;
  readonly max: number;
}

export class Rates {
  readonly #windowMs: number;
  readonly #maxCounts: number;
  /** By host, client and number of the window. */
  readonly #counts = new Map<string, number>();
  /** Keys whose hash is below it are kept. */
  #percent = 100;

  constructor(windowMs: number, maxCounts: number) {
    this.#windowMs = windowMs;
    this.#maxCounts = maxCounts;
  }

  /** Of the counters, from 0 to 1. */
  get keptShare(): number {
    return this.#percent / 100;
  }

  add(host: string, client: string, timeMs: number): void {
    const key = `${host}\n${client}\n${Math.floor(timeMs / this.#windowMs)}`;
    if (this.#percent < 100 && percentOf(SEED, key) >= this.#percent) return;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    while (this.#counts.size > this.#maxCounts) this.#halve();
  }

  byHost(): ReadonlyMap<string, Rate> {
    const counts = new Map<string, { readonly all: number[]; readonly clients: Set<string> }>();
    for (const [key, count] of this.#counts) {
      const [host = '', client = ''] = key.split('\n');
      let own = counts.get(host);
      if (own === undefined) counts.set(host, (own = { all: [], clients: new Set() }));
      own.all.push(count);
      own.clients.add(client);
    }
    return new Map(
      [...counts].map(([host, { all, clients }]) => {
        const sorted = all.toSorted((a, b) => a - b);
        return [
          host,
          {
            windows: sorted.length,
            clients: clients.size,
            p999: sorted[Math.ceil(sorted.length * 0.999) - 1] ?? 0,
            max: sorted.at(-1) ?? 0,
          },
        ];
      }),
    );
  }

  #halve(): void {
    this.#percent /= 2;
    for (const key of this.#counts.keys()) if (percentOf(SEED, key) >= this.#percent) this.#counts.delete(key);
  }
}
