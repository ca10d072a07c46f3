/** Objects of one kind in the order of their age, kept up to date: of many pods one changes at a time. */
import { byAge, type MeshObject } from './objects.ts';
import type { Kind } from '../rules/kinds.ts';

type Object = MeshObject<Kind>;

export class SortedObjects {
  #list: Object[];
  /** The list was handed out, and must not change any more. */
  #isShared = false;

  constructor(objects: readonly Object[]) {
    this.#list = objects.toSorted(byAge);
  }

  /** The same value until something changes. */
  get list(): readonly Object[] {
    this.#isShared = true;
    return this.#list;
  }

  replace(before: Object | undefined, after: Object | undefined): void {
    if (this.#isShared) this.#list = [...this.#list];
    this.#isShared = false;
    if (before !== undefined && after !== undefined && byAge(before, after) === 0) {
      this.#list[this.#placeOf(before)] = after;
      return;
    }
    if (before !== undefined) this.#list.splice(this.#placeOf(before), 1);
    if (after !== undefined) this.#list.splice(this.#placeOf(after), 0, after);
  }

  /** Of the first object that is not older; no two are equal, since their names differ. */
  #placeOf(object: Object): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (byAge(this.#list[middle] as Object, object) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
