/** Equal values kept once, with a count of their users: pods of one workload have equal labels, pods of one node its name. */
export interface Shared<T> {
  readonly key: string;
  readonly value: T;
  uses: number;
}

export class SharedValues<T> {
  readonly #byKey = new Map<string, Shared<T>>();

  get size(): number {
    return this.#byKey.size;
  }

  /** Made by its first user. Each use ends with {@link release}. */
  use(key: string, make: () => T): Shared<T> {
    let shared = this.#byKey.get(key);
    if (shared === undefined) this.#byKey.set(key, (shared = { key, value: make(), uses: 0 }));
    shared.uses++;
    return shared;
  }

  /** Whether that was the last use. */
  release(shared: Shared<T>): boolean {
    if (--shared.uses > 0) return false;
    this.#byKey.delete(shared.key);
    return true;
  }
}
