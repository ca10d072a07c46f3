/**
 * A call that was decided, with its verdict: what rules of `decision` calls read.
 * **In**: a verdict, and the bag that it was made of. **Out**: attributes of the call, and `verdict.*`. **Fails**: never.
 */
import { filledOf, RequestBag, type Wire } from '../../attributes/bag.ts';
import type { Carrier } from '../../attributes/carrier.ts';
import { type Json, mapOfJson } from '../../attributes/json-value.ts';
import { Timestamp, type Value } from '../../attributes/values.ts';
import { byNumber } from '../../attributes/vocabulary.ts';
import { type Decided, type KeptVerdict, placeOf, reasonsOf, recordOf, statusOf, summaryOf } from './summary.ts';

/** Its attributes are read anew, since named expressions may depend on the verdict; outputs of enrich rules are those of the call. */
export function decisionBag(decided: Decided): RequestBag {
  const bag = new RequestBag(decided.bag.attributes, new DecisionWire(decided));
  for (const [slot, value] of filledOf(decided.bag)) bag.fill(slot, value);
  return bag;
}

class DecisionWire implements Wire {
  readonly decided: Decided;
  readonly #wire: Wire;
  #summary: KeptVerdict | undefined;

  constructor(decided: Decided) {
    this.decided = decided;
    this.#wire = decided.bag.wire;
  }

  get weight(): number {
    return this.#wire.weight;
  }

  keep(): void {
    this.#wire.keep();
  }

  /** Made on demand: it evaluates matches again. */
  get summary(): KeptVerdict {
    return (this.#summary ??= summaryOf(this.decided, this.decided.snapshot.policy.decisions.masks));
  }

  read(attribute: string, number: number): Value | undefined {
    const reader = READERS[number];
    return reader === undefined ? this.#wire.read(attribute, number) : reader(this);
  }

  /** A request may carry the verdict of another filter, which is not this one. */
  carried(carrier: Carrier): Value | undefined {
    return carrier.kind === 'metadata' && carrier.path[0] === 'sluice' ? undefined : this.#wire.carried(carrier);
  }
}

const READERS = byNumber<(wire: DecisionWire) => Value | undefined>({
  'verdict.id': ({ decided }) => decided.verdict.id,
  'verdict.call': ({ decided }) => decided.call,
  'verdict.rule': ({ decided }) => decided.verdict.rule,
  'verdict.outcome': ({ decided }) => decided.verdict.outcome,
  'verdict.time': ({ decided }) => Timestamp.fromMs(decided.timeMs),
  'verdict.revision': ({ decided }) => decided.snapshot.policy.revision,
  'verdict.at': ({ decided }) => placeOf(decided.snapshot, decided.verdict.rule),
  'verdict.status': ({ decided }) => statusOf(decided.verdict),
  'verdict.reasons': ({ decided }) =>
    reasonsOf(decided, decided.snapshot.policy.decisions.masks).map(
      ({ rule, text, shadow }) => `${rule}${shadow ? ' (shadow)' : ''}: ${text}`,
    ),
  'verdict.shadow': ({ decided }) => decided.verdict.shadow,
  'verdict.attributes': ({ summary }) => mapOfJson(summary.attributes as Readonly<Record<string, Json>>),
  'verdict.record': ({ summary }) => mapOfJson(recordOf(summary) as Readonly<Record<string, Json>>),
});
