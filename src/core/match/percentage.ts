/**
 * Which requests are inside a percentage: the same on all replicas and after restarts; all inside 10 % are inside 20 % too.
 */
import type { Bag } from '../../attributes/bag.ts';
import { type Compiled, FAILED } from '../../expression/index.ts';
import { valueText } from '../key-text.ts';

const PRIME = 0x0100_0193;

/** FNV-1a over UTF-16 units, 32 bits. */
function hash(text: string, seed: number): number {
  let state = seed;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    state = Math.imul(state ^ (unit & 0xff), PRIME);
    state = Math.imul(state ^ (unit >>> 8), PRIME);
  }
  return state >>> 0;
}

/** FNV does not mix its last bytes into the high bits; murmur3's finalizer does. */
function spread(state: number): number {
  let mixed = state ^ (state >>> 16);
  mixed = Math.imul(mixed, 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Hash seed of a name; signed, since V8 keeps a number above 2^31 in an object of its own. */
export const percentageSeed = (name: string): number => hash(`${name}\0`, 0x811c_9dc5) | 0;

/** From 0 (included) to 100 (excluded). */
export const percentOf = (seed: number, text: string): number => (spread(hash(text, seed)) / 0x1_0000_0000) * 100;

/** Whether a call is inside; `undefined` if the key expression failed. */
export function isInPercentage(
  percent: number,
  keyExpression: Compiled | undefined,
  seed: number,
  bag: Bag,
): boolean | undefined {
  if (percent >= 100 || percent <= 0) return percent > 0;
  if (keyExpression === undefined) return Math.random() * 100 < percent;
  const value = keyExpression.evaluate(bag);
  return value === FAILED ? undefined : percentOf(seed, valueText(value, keyExpression.type)) < percent;
}
