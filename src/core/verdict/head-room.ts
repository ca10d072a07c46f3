/** Room for headers, parameters and metadata in one answer: {@link MAX_HEAD} octets of names and values. */
import { MAX_HEAD } from '../text-bounds.ts';

type Pair = readonly [name: string, value: string];

/** Whether there is room for all. Without counting octets where the lengths show it: a unit of UTF-16 has at most three. */
export function fit(...lists: readonly (readonly Pair[])[]): boolean {
  let most = 0;
  for (const pairs of lists)
    for (let at = 0; at < pairs.length; at++) {
      const [name, value] = pairs[at] as Pair;
      most += 3 * (name.length + value.length);
    }
  if (most <= MAX_HEAD) return true;
  const room = new HeadRoom();
  return lists.every((pairs) => pairs.every((pair) => room.takes(pair)));
}

export class HeadRoom {
  #octets = MAX_HEAD;

  /** False, and nothing is taken, if there is no room for it. */
  takes([name, value]: Pair): boolean {
    const octets = Buffer.byteLength(name) + Buffer.byteLength(value);
    if (octets > this.#octets) return false;
    this.#octets -= octets;
    return true;
  }
}
