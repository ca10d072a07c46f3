/**
 * **In**: a policy. **Out**: the same for calls that were recorded: without reports, and with nothing that the time of day or chance
 * decides. **Fails**: never.
 */
import { STRING } from '../../attributes/types.ts';
import type { HandlerSpec, Policy } from '../../core/rules/policy.ts';
import type { Rule } from '../../core/rules/rule.ts';
import { IN_MEMORY } from '../../core/rules/sections/spool-key.ts';
import type { Compiled } from '../../expression/index.ts';

/** `idOf`: the id of the call that is decided; percentages without `by` draw by it, so that each replay draws alike. */
export function replayPolicy(policy: Policy, idOf: () => string): Policy {
  const byId: Compiled = {
    source: 'the id of the call',
    type: STRING,
    reads: [],
    warnings: [],
    proves: new Set(),
    guards: [],
    constant: undefined,
    evaluate: idOf,
    why: () => '',
  };
  const rules = policy.rules.filter(({ action }) => action?.kind !== 'report').map((rule) => withDrawKey(rule, byId));
  const byIndex = new Map(rules.map((rule) => [rule.index, rule]));
  return {
    ...policy,
    rules,
    enrich: policy.enrich.map((rule) => byIndex.get(rule.index) ?? rule),
    handlers: new Map([...policy.handlers].filter(([name]) => isAsked(name, rules, policy)).map(stateless)),
  };
}

const withDrawKey = (rule: Rule, keyExpression: Compiled): Rule =>
  rule.mode.kind === 'percent' && rule.mode.keyExpression === undefined
    ? { ...rule, mode: { ...rule.mode, keyExpression } }
    : rule;

const isAsked = (name: string, rules: readonly Rule[], { handlers }: Policy): boolean =>
  rules.some(({ action }) => {
    const asked = action?.handler;
    return asked !== undefined && (asked === name || handlers.get(asked)?.local?.handler === name);
  });

/** A recorded failure is that call's alone: it opens no breaker. A kept answer would replace a recorded one. */
const stateless = ([name, spec]: readonly [string, HandlerSpec]): [string, HandlerSpec] => [
  name,
  { ...spec, cacheBytes: 0, breaker: { ...spec.breaker, failures: Infinity }, spool: IN_MEMORY },
];
