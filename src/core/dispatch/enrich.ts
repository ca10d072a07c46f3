/**
 * **In**: the enrich rules of a call, ordered by dependency. **Out**: their outputs, added to the bag; synchronously if handlers
 * answer synchronously. **Fails**: never; outputs that are not available are absent.
 */
import { type LookupAnswer, valuesOf } from '../../adapters/contract.ts';
import { RequestBag, type Wire } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { messageOf } from '../../text/message-of.ts';
import { nextId } from '../call-id.ts';
import { NO_CALLER } from '../call.ts';
import { isEnforced, matchOf } from '../match/applies.ts';
import { LOOKUP_ANSWERS } from '../handlers/answer-kinds.ts';
import { CallScope } from '../handlers/call-scope.ts';
import { Failure } from '../handlers/failure.ts';
import type { Gate } from '../handlers/gate.ts';
import { ofOtherType, undeclared, undeclaredName } from '../handlers/lookup-output.ts';
import type { PreparedLookup } from '../outcome.ts';
import type { EnrichOutput } from '../rules/rule.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

export function enrichBag(
  rules: readonly PreparedLookup[],
  bag: RequestBag,
  scope: CallScope,
  from = 0,
): Promise<void> | undefined {
  for (let at = from; at < rules.length; at++) {
    const prepared = rules[at];
    if (prepared === undefined) continue;
    let waits: Promise<void> | undefined;
    try {
      waits = enrichOne(prepared, bag, scope);
    } catch {
      prepared.meters.failed++; // its attributes stay absent
    }
    if (waits !== undefined)
      return waits
        .catch(() => {
          prepared.meters.failed++;
        })
        .then(() => enrichBag(rules, bag, scope, at + 1));
  }
  return undefined;
}

function enrichOne(prepared: PreparedLookup, bag: RequestBag, scope: CallScope): Promise<void> | undefined {
  const { action, handler, lookup, meters } = prepared;
  const match = matchOf(prepared, bag);
  if (match === 'does not apply') return undefined;
  meters.lastAtMs = scope.nowMs; // which asking its handler reads, too
  if (match === 'failed') {
    meters.failed++;
    return undefined;
  }
  meters.matched++;
  const input = action.input(bag);
  if (!input.ok) {
    meters.failed++;
    return undefined;
  }
  const gate = scope.isInspection ? handler.inspectionGate : handler.gate;
  const take = (answer: LookupAnswer | Failure): void => {
    const values = answer instanceof Failure ? undefined : valuesOf(answer);
    if (answer instanceof Failure) {
      meters.failed++;
    } else if (values !== undefined && isEnforced(prepared, bag)) fill(values, action.outputs, bag, gate, scope);
  };
  const kept = lookup.mayHold ? lookup.kept(input.values, scope.nowMs, scope.isInspection) : undefined;
  const answer =
    kept ?? gate.ask(lookup.ask, input.values, scope, handler.deadlinesMs.enrich, LOOKUP_ANSWERS.problemOf);
  if (!(answer instanceof Promise)) {
    take(answer);
    return undefined;
  }
  return answer.then(take);
}

/** Fills the declared outputs; values of another name or type are left out. */
function fill(
  values: Readonly<Record<string, unknown>>,
  outputs: readonly EnrichOutput[],
  bag: RequestBag,
  gate: Gate,
  scope: CallScope,
): void {
  try {
    for (const { name, slot, convert } of outputs) {
      const value = values[name];
      const converted = convert(value);
      bag.fill(slot, converted);
      if (converted === undefined && value !== undefined && value !== null)
        gate.leftOut(() => ofOtherType(name, value), scope);
    }
    const other = undeclaredName(values, outputs);
    if (other !== undefined) gate.leftOut(() => undeclared(other, outputs), scope);
  } catch (error) {
    gate.leftOut(() => `its answer cannot be read: ${messageOf(error)}`, scope);
    throw error;
  }
}

/** A request as rules see it, for operators. */
export async function enrichedBag(snapshot: Snapshot, call: CallKind, wire: Wire): Promise<RequestBag> {
  const bag = new RequestBag(snapshot.attributes, wire);
  const scope = new CallScope(nextId(), call, NO_CALLER).about(bag);
  await snapshot.hold(enrichBag(snapshot.enrich(call), bag, scope));
  return bag;
}
