/** Rules of one form read the same in the same places: what many thousand of them read is held once. */
import type { Attributes } from '../attributes/attributes.ts';
import type { Read } from './compiled.ts';

/** Of a vocabulary; a policy whose rules are all unlike shares nothing, and the keys must not grow beside it. */
const MOST_SHARED = 10_000;
const shared = new WeakMap<Attributes, Map<string, readonly Read[]>>();

export function sharedReads(reads: readonly Read[], attributes: Attributes): readonly Read[] {
  let known = shared.get(attributes);
  if (known === undefined) shared.set(attributes, (known = new Map()));
  const key = reads.map(keyOf).join();
  const found = known.get(key);
  if (found !== undefined) return found;
  if (known.size < MOST_SHARED) known.set(key, reads);
  return reads;
}

const keyOf = ({ slot, guarded, exposed, offset, keys }: Read): string =>
  `${slot}${guarded ? 'g' : ''}${exposed ? 'e' : ''}${offset}${keys.length === 0 ? '' : JSON.stringify(keys)}`;
