/** Sums the gauges of workers; a gauge of state (`breaker_open`) becomes the number of workers in that state. */

/** Gauges of the current state, dropped when their worker ends. All others only increase, and are kept. */
const CURRENT = /\.(cx_active|breaker_open|escrow_held|entryCount)$/;

export class GaugeSums {
  readonly #gauges: Map<string, () => number>;
  /** The last values of each worker. */
  readonly #live = new Map<number, ReadonlyMap<string, number>>();
  readonly #ended = new Map<string, number>();

  /** `gauges`: the registry in which the sums are published. */
  constructor(gauges: Map<string, () => number>) {
    this.#gauges = gauges;
  }

  update(worker: number, values: readonly (readonly [name: string, value: number])[]): void {
    this.#live.set(worker, new Map(values));
    for (const [name] of values) if (!this.#gauges.has(name)) this.#gauges.set(name, () => this.#sum(name));
  }

  ended(worker: number): void {
    for (const [name, value] of this.#live.get(worker) ?? [])
      if (!CURRENT.test(name)) this.#ended.set(name, (this.#ended.get(name) ?? 0) + value);
    this.#live.delete(worker);
  }

  #sum(name: string): number {
    let sum = this.#ended.get(name) ?? 0;
    for (const values of this.#live.values()) sum += values.get(name) ?? 0;
    return sum;
  }
}
