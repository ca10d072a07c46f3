/** Attributes that are present where the texts of a rule are rendered, so that reading them needs no guard. */
import type { ActionKind } from '../../actions.ts';
import type { ReadAction } from '../actions/read-action.ts';

/** Used when the match has an error: it might guard any attribute, and warnings about missing guards would only follow from that error. */
export const ANY_ATTRIBUTE: ReadonlySet<string> = new (class extends Set<string> {
  override has(): boolean {
    return true;
  }
})(['any']);

/** A quota that refuses has answered, so its outputs are there; one that could not be asked may still allow. */
export function presentInDenial(
  kind: ActionKind | undefined,
  read: ReadAction | undefined,
  present: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (kind !== 'quota' || read === undefined || present === ANY_ATTRIBUTE) return present;
  return new Set([...(present ?? []), ...Object.keys(read.output).map((name) => `out.${name}`)]);
}
