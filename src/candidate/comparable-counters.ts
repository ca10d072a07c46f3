/**
 * The counters of a candidate that the policy in force charges.
 * **In**: both policies. **Out**: whether a counter can be compared, and the rules that cannot, with the reason. **Fails**: never.
 */
import type { QuotaRule } from '../adapters/contract.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { QuotaAction, Rule } from '../core/rules/rule.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import { counterName } from './quota-answers.ts';

export interface NotCompared {
  readonly rule: string;
  readonly why: string;
}

type Identity = Pick<QuotaRule, 'counter' | 'algorithm' | 'perMs'>;

export class ComparableCounters {
  readonly #known = new Set<string>();
  readonly notCompared: readonly NotCompared[];

  constructor(inForce: Snapshot, candidate: Policy) {
    const own = new Map<string, QuotaAction[]>();
    for (const { action } of inForce.quotas) {
      const name = idOf(action.handler, action);
      own.set(name, [...(own.get(name) ?? []), action]);
    }
    this.notCompared = candidate.rules.flatMap((rule) => {
      const why = quotaProblem(rule, inForce, candidate, own);
      if (why !== undefined) return [{ rule: rule.name, why }];
      if (rule.action?.kind === 'quota') this.#known.add(idOf(rule.action.handler, rule.action));
      return [];
    });
  }

  has(handler: string, rule: Identity): boolean {
    return this.#known.has(idOf(handler, rule));
  }
}

const idOf = (handler: string, { counter, algorithm, perMs }: Identity): string =>
  JSON.stringify([handler, counterName(counter), algorithm, perMs]);

function quotaProblem(
  { action, calls }: Rule,
  { handlers }: Snapshot,
  candidate: Policy,
  own: ReadonlyMap<string, readonly QuotaAction[]>,
): string | undefined {
  if (action?.kind !== 'quota' || ![...DECIDED].some((call) => calls.has(call))) return undefined;
  const { handler, counter } = action;
  const spec = candidate.handlers.get(handler);
  if (spec === undefined || handlers.get(handler)?.serves(spec) !== true)
    return `the policy in force has no handler ${handler} with this adapter and config, so its counters are empty; its quotas are granted`;
  const alike = own.get(idOf(handler, action));
  if (alike === undefined)
    return `no rule of the policy in force charges the counter ${counter} with this algorithm and period; its quotas are granted`;
  const key = keyText(action);
  if (!alike.some((other) => keyText(other) === key))
    return `the policy in force charges the counter ${counter} by another key; its quotas are granted`;
  return undefined;
}

const DECIDED = new Set(['http', 'tcp', 'authzen', 'limit'] as const);
const keyText = ({ key }: QuotaAction): string => JSON.stringify(key.map(({ source }) => source));

/** Rules that both policies enforce for an equal share of the calls, drawn by each policy for itself. */
export function drawnRules(inForce: Policy, candidate: Policy): readonly NotCompared[] {
  const drawn = new Map(
    candidate.rules.flatMap((rule) => (drawOf(rule) === undefined ? [] : [[rule.name, drawOf(rule)]])),
  );
  return inForce.rules
    .filter((rule) => drawOf(rule) !== undefined && drawn.get(rule.name) === drawOf(rule))
    .map(({ name }) => ({
      rule: name,
      why: 'its percentage has no `by`, so each policy draws by itself whether it is enforced; its differences are not counted',
    }));
}

const drawOf = ({ mode }: Rule): number | undefined =>
  mode.kind === 'percent' && mode.keyExpression === undefined && mode.percent > 0 && mode.percent < 100
    ? mode.percent
    : undefined;
