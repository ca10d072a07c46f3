/**
 * Which requests are inside a percentage: the same on all replicas and after restarts, and those inside 10 % are inside 20 %.
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

/** FNV spreads its last bytes badly over the high bits; murmur3's last step does. */
function spread(state: number): number {
  let mixed = state ^ (state >>> 16);
  mixed = Math.imul(mixed, 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Of a name, once. */
export const shareSeed = (name: string): number => hash(`${name}\0`, 0x811c_9dc5);

/** In 0 (included) to 100 (excluded). */
export const shareOf = (seed: number, text: string): number => (spread(hash(text, seed)) / 0x1_0000_0000) * 100;

/** Whether a call is inside; `undefined` where that depends on `by`, and `by` failed. */
export function isInside(percent: number, by: Compiled | undefined, seed: number, bag: Bag): boolean | undefined {
  if (percent >= 100 || percent <= 0) return percent > 0;
  if (by === undefined) return Math.random() * 100 < percent;
  const value = by.evaluate(bag);
  return value === FAILED ? undefined : shareOf(seed, valueText(value, by.type)) < percent;
}
