/** Sequence numbers of an idempotent producer: of each of its partitions consecutive, and the same whenever a batch is repeated. */

/** Producer ids whose numbers are known; a new one is taken after an error only, and a batch is never repeated under one so old. */
const MAX_PRODUCERS = 100;
/** Kafka counts with 31 bits, and begins again at 0. */
const MODULUS = 2 ** 31;

export class Sequences<Batch extends { readonly length: number }> {
  /** By producer and partition. */
  readonly #next = new Map<string, Map<number, number>>();
  /** By producer. */
  readonly #given = new WeakMap<Batch, Map<string, number>>();

  /** The number of the batch's first record. */
  firstOf(batch: Batch, partition: number, producerId: bigint, epoch: number): number {
    const producer = `${producerId}/${epoch}`;
    const given = this.#given.get(batch) ?? new Map<string, number>();
    const before = given.get(producer);
    if (before !== undefined) return before;
    const next = this.#nextOf(producer);
    const first = next.get(partition) ?? 0;
    next.set(partition, (first + batch.length) % MODULUS);
    this.#given.set(batch, given.set(producer, first));
    return first;
  }

  #nextOf(producer: string): Map<number, number> {
    const known = this.#next.get(producer);
    if (known !== undefined) return known;
    const next = new Map<number, number>();
    this.#next.set(producer, next);
    for (const oldest of this.#next.keys()) {
      if (this.#next.size <= MAX_PRODUCERS) break;
      this.#next.delete(oldest);
    }
    return next;
  }
}
