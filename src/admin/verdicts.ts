/**
 * `/verdicts`: recent verdicts and their reasons.
 * **In**: filters in the query. **Out**: the matching kept verdicts, newest first. **Fails**: with a sentence that names the valid values.
 */
import { CALL_KINDS } from '../attributes/carrier.ts';
import { meant } from '../text/nearest.ts';
import type { Outcome } from '../core/call.ts';
import type { VerdictFilter } from '../core/history/verdict-filter.ts';
import { type KeptVerdict, recordOf } from '../core/history/summary.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Query } from './http-app.ts';

const OUTCOMES: readonly Outcome[] = ['allow', 'deny', 'failed', 'error'];
export const FILTERS = ['id', 'rule', 'outcome', 'call', 'host', 'principal', 'path', 'limit'] as const;
/** A stream has no end. */
export const STREAM_FILTERS = FILTERS.filter((name) => name !== 'limit');
const MAX_SHOWN = 500;

/** `filters`: those that may be named. */
export function verdictFilter(
  query: Query,
  filters: readonly string[] = FILTERS,
): VerdictFilter | { readonly wrong: string } {
  for (const [name, value] of Object.entries(query)) {
    if (!filters.includes(name)) return { wrong: `unknown filter ${name}; expected one of ${filters.join(', ')}` };
    if (typeof value !== 'string') return { wrong: `${name} is given ${value?.length ?? 0} times; expected once` };
    if (value === '') return { wrong: `${name} is empty; give it a value, or remove it` };
  }
  const { outcome, call, limit, ...texts } = query as Readonly<Record<string, string | undefined>>;
  if (outcome !== undefined && !OUTCOMES.some((one) => one === outcome))
    return { wrong: `outcome is ${outcome}; expected one of ${OUTCOMES.join(', ')}` };
  if (call !== undefined && !CALL_KINDS.some((one) => one === call))
    return { wrong: `call is ${call}; expected one of ${CALL_KINDS.join(', ')}` };
  const count = Number(limit ?? 100);
  if (!(Number.isInteger(count) && count >= 1 && count <= MAX_SHOWN))
    return { wrong: `limit is ${limit}; expected a whole number from 1 to ${MAX_SHOWN}` };
  return {
    ...texts,
    ...(outcome === undefined ? {} : { outcome: outcome as Outcome }),
    ...(call === undefined ? {} : { call: call as (typeof CALL_KINDS)[number] }),
    limit: count,
  };
}

/** A rule is unknown if neither the policy in force nor a kept verdict has it; verdicts of previous policies are kept too. */
export function unknownRule(
  { rule }: VerdictFilter,
  kept: readonly KeptVerdict[],
  policy: Policy | undefined,
): string | undefined {
  if (rule === undefined || kept.length > 0 || policy === undefined) return undefined;
  const names = policy.rules.map(({ name }) => name);
  return names.includes(rule) ? undefined : `no rule is named ${rule}${meant(rule, names)}; /rules lists them`;
}

export function verdictsPage(kept: readonly KeptVerdict[]): object {
  return { verdicts: kept.map(recordOf) };
}
