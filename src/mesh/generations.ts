/** A cache whose entries stay for as long as they are used: in this generation of the mesh, or in the last one that was asked for any. */
export class Generations<V> {
  #last = new Map<string, V>();
  #now = new Map<string, V>();

  get(key: string): V | undefined {
    const value = this.#now.get(key);
    if (value !== undefined) return value;
    const old = this.#last.get(key);
    if (old !== undefined) this.#now.set(key, old);
    return old;
  }

  set(key: string, value: V): V {
    this.#now.set(key, value);
    return value;
  }

  /** Of those in use in this generation. */
  get size(): number {
    return this.#now.size;
  }

  delete(key: string): void {
    this.#now.delete(key);
    this.#last.delete(key);
  }

  /** The mesh has changed. */
  next(): void {
    if (this.#now.size === 0) return;
    this.#last = this.#now;
    this.#now = new Map();
  }
}
