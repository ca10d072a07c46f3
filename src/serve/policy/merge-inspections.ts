/**
 * Merges the quota inspections of several workers: rules and counters are equal in all, leases differ.
 * **In**: the answer of each worker; `undefined` if it did not answer. **Out**: one answer; `undefined` if no worker answered.
 */
import { counted } from '../../text/counted.ts';
import type { LimitsAnswer } from '../../admin/sources.ts';
import type { CounterInspection, QuotaInspection } from '../../core/dispatch/quota-inspection.ts';

export function mergedInspections(answers: readonly (LimitsAnswer | undefined)[]): LimitsAnswer | undefined {
  const given = answers.filter((answer) => answer !== undefined);
  const [first] = given;
  if (first === undefined || 'wrong' in first) return first;
  const all = rowsOf(given);
  return {
    rules: first.rules.map((inspection) => {
      const others = all.filter((other) => isSame(inspection, other));
      return mergedHolders(others) ?? inspection;
    }),
  };
}

/** A counter is reset only if every worker has reset it; a lease that a worker still holds would be given back later. */
export function resetInspections(
  inspections: readonly QuotaInspection[],
  answers: readonly (LimitsAnswer | undefined)[],
): LimitsAnswer {
  const silent = answers.filter((answer) => answer === undefined || 'wrong' in answer).length;
  const all = rowsOf(answers);
  return {
    rules: inspections.map((inspection) => {
      const resets = all.filter((other) => isSame(inspection, other) && other.reset !== undefined);
      if (resets.length === 0 && (silent === 0 || !isCounted(inspection))) return inspection;
      const failure =
        resets.find(({ reset }) => reset === false)?.failure ??
        (silent === 0 ? undefined : `${silent} of ${counted(answers.length, 'worker')} did not answer`);
      return failure === undefined ? { ...inspection, reset: true } : { ...inspection, reset: false, failure };
    }),
  };
}

const rowsOf = (answers: readonly (LimitsAnswer | undefined)[]): readonly QuotaInspection[] =>
  answers.flatMap((answer) => (answer === undefined || 'wrong' in answer ? [] : answer.rules));
/** Whether it has a counter to reset. */
const isCounted = ({ applies, cost }: QuotaInspection): boolean => applies && cost !== undefined;
const isSame = (one: QuotaInspection, other: QuotaInspection): boolean =>
  one.rule === other.rule && one.descriptor === other.descriptor;

/**
 * One that has the state of the counter, with the holders of all: several workers may report the same one. `undefined` if there is none.
 */
export function mergedHolders<I extends CounterInspection>(inspections: readonly (I | undefined)[]): I | undefined {
  const given = inspections.filter((one) => one !== undefined);
  const shown = given.find(({ state }) => state !== undefined) ?? given[0];
  const units = new Map<string, number>();
  for (const { who, units: held } of given.flatMap(({ holders = [] }) => holders))
    units.set(who, Math.max(held, units.get(who) ?? 0));
  return shown === undefined || units.size === 0
    ? shown
    : { ...shown, holders: [...units].map(([who, held]) => ({ who, units: held })) };
}
