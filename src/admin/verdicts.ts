/**
 * `/verdicts`: recent verdicts and their reasons.
 * **In**: filters in the query. **Out**: the kept verdicts that pass, the newest first. **Fails**: with a sentence that says what is allowed.
 */
import { CALL_KINDS } from '../attributes/carrier.ts';
import { meant } from '../text/nearest.ts';
import type { Outcome } from '../core/call.ts';
import type { KeptVerdict, VerdictFilter } from '../core/history/kept-verdicts.ts';
import type { Policy } from '../core/rules/policy.ts';

const OUTCOMES: readonly Outcome[] = ['allow', 'deny', 'failed', 'error'];
export const FILTERS = ['id', 'rule', 'outcome', 'call', 'host', 'path', 'limit'] as const;
export const MOST_SHOWN = 500;

type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

export function verdictFilter(query: Query): VerdictFilter | { readonly wrong: string } {
  for (const [name, value] of Object.entries(query)) {
    if (!FILTERS.some((filter) => filter === name))
      return { wrong: `there is no filter ${name}; filters are ${FILTERS.join(', ')}` };
    if (typeof value !== 'string') return { wrong: `${name} is given ${value?.length ?? 0} times; once is expected` };
    if (value === '') return { wrong: `${name} is empty; a value is expected, or leave it out` };
  }
  const { outcome, call, limit, ...texts } = query as Readonly<Record<string, string | undefined>>;
  if (outcome !== undefined && !OUTCOMES.some((one) => one === outcome))
    return { wrong: `no outcome is ${outcome}; outcomes are ${OUTCOMES.join(', ')}` };
  if (call !== undefined && !CALL_KINDS.some((one) => one === call))
    return { wrong: `no call is ${call}; calls are ${CALL_KINDS.join(', ')}` };
  const count = Number(limit ?? 100);
  if (!(Number.isInteger(count) && count >= 1 && count <= MOST_SHOWN))
    return { wrong: `limit is ${limit}; a whole number from 1 to ${MOST_SHOWN} is expected` };
  return {
    ...texts,
    ...(outcome === undefined ? {} : { outcome: outcome as Outcome }),
    ...(call === undefined ? {} : { call: call as (typeof CALL_KINDS)[number] }),
    limit: count,
  };
}

/** A rule is unknown where neither the policy in force nor a kept verdict has it: verdicts of the previous policy are kept. */
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
  return {
    verdicts: kept.map(({ id, timeMs, call, outcome, rule, request, quotaKeys, reasons, shadow, attributes }) => ({
      id,
      time: new Date(timeMs).toISOString(),
      call,
      outcome,
      rule: rule ?? null,
      ...request,
      quotaKeys,
      reasons,
      shadow,
      attributes,
    })),
  };
}
