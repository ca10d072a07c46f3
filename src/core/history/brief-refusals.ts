import type { CallKind } from '../../attributes/carrier.ts';
import type { LimitVerdict, Verdict } from '../call.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type KeptVerdict, NO_FIELDS, placeOf } from './summary.ts';

/** Per engine; about 100 bytes each. docs/verdicts.md has the number; a test compares it. */
export const MAX_BRIEF = 16_384;

const WHY = 'its request was not kept, since too many calls were refused at once';

interface Brief {
  readonly id: string;
  readonly timeMs: number;
  readonly call: CallKind;
  readonly outcome: Verdict['outcome'];
  readonly rule: string | undefined;
  readonly revision: string;
  readonly at: string | undefined;
}

/** Refusals of a flood, in a ring: which rule refused, and when, found by the id of the verdict. */
export class BriefRefusals {
  readonly #ring: Brief[] = [];
  #next = 0;

  add(snapshot: Snapshot, call: CallKind, { id, outcome, rule }: Verdict | LimitVerdict, timeMs: number): void {
    const { revision } = snapshot.policy;
    this.#ring[this.#next] = { id, timeMs, call, outcome, rule, revision, at: placeOf(snapshot, rule) };
    this.#next = (this.#next + 1) % MAX_BRIEF;
  }

  withId(id: string): KeptVerdict | undefined {
    const found = this.#ring.find((brief) => brief.id === id);
    if (found === undefined) return undefined;
    const reasons = [{ rule: found.rule ?? '', text: WHY, shadow: false }];
    return { ...found, reasons, shadow: [], request: NO_FIELDS, quotaKeys: [], attributes: {} };
  }
}
