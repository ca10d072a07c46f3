/** **In**: a rule, open handlers. **Out**: the rule prepared for calls. **Fails**: by throwing the error of its handler, with its name. */
import type { CheckAnswer, LookupAnswer } from '../../adapters/contract.ts';
import { noFunction, notPromised, saidBy } from '../../adapters/thrown-place.ts';
import { ACTIONS } from '../actions.ts';
import type { RuleAnswers } from '../handlers/answer-cache.ts';
import { LOOKUP_ANSWERS } from '../handlers/answer-kinds.ts';
import { checkAnswersWith } from '../handlers/check-output.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import { percentageSeed } from '../match/percentage.ts';
import { type LocalCounts, PASSED, type PreparedRule, REFUSED, shadowCounter } from '../outcome.ts';
import type { Preparations } from './preparations.ts';
import type { HandlerSpec, Policy } from '../rules/policy.ts';
import type { QuotaAction, Rule } from '../rules/rule.ts';

export function prepareRule(
  rule: Rule,
  { handlers: specs }: Pick<Policy, 'handlers'>,
  handlers: ReadonlyMap<string, LiveHandler>,
  { meters, longTexts }: Pick<PreparedRule, 'meters' | 'longTexts'>,
  preparations: Preparations,
): PreparedRule {
  const { action, onError } = rule;
  const { refuses } = ACTIONS[action?.kind ?? 'none'];
  const name = action?.handler;
  const handler = name === undefined ? undefined : handlers.get(name);
  if (name !== undefined && handler === undefined) throw new Error(`the policy has no handler ${name}`);
  const made = handler === undefined ? NOTHING : madeByHandler(rule, handler, preparations);
  return {
    rule,
    action,
    refuses,
    meters,
    longTexts,
    match: rule.match?.evaluate,
    handler,
    check: made.check,
    lookup: made.lookup,
    bucket: made.bucket,
    sink: made.sink,
    input: action?.kind === 'check' || action?.kind === 'allow' ? action.input : undefined,
    allows: action?.kind === 'allow' ? action.group : undefined,
    unlessAllowed: action?.kind === 'deny' ? action.unlessAllowed : undefined,
    whenMatched: action?.kind === 'deny' ? REFUSED : PASSED,
    whenRefused: refuses ? 'refused' : 'not allowed',
    local: name === undefined ? undefined : localOf(rule, specs.get(name), handlers, preparations),
    seed: percentageSeed(rule.name),
    sampleSeed: percentageSeed(`${rule.name}#sample`),
    failedMatchApplies: onError.input === undefined,
    inputWord: onError.input ?? 'deny',
  };
}

const counterOf = ({ counter }: QuotaAction, { kind }: Rule['mode']): string =>
  kind === 'shadow' ? shadowCounter(counter) : counter;

/** Its counters are separate from those of rules that use the fallback handler themselves. */
function localOf(
  rule: Rule,
  away: HandlerSpec | undefined,
  handlers: ReadonlyMap<string, LiveHandler>,
  preparations: Preparations,
): LocalCounts | undefined {
  const { name, action, mode, onError } = rule;
  const local = away?.local;
  if (action?.kind !== 'quota' || !onError.local || away === undefined || local === undefined) return undefined;
  const handler = handlers.get(local.handler);
  if (handler?.open.handler.bucket === undefined)
    throw new Error(`the policy has no handler ${local.handler} that serves quota`);
  const { algorithm, perMs } = action;
  const counter = `${counterOf(action, mode)}#${away.name}`;
  const bucket = handler.open.handler.bucket({ rule: name, params: undefined, counter, algorithm, perMs });
  preparations.add(handler, bucket, rule);
  return { handler, replicas: local.replicas, bucket };
}

interface Made {
  readonly check: RuleAnswers<CheckAnswer> | undefined;
  readonly lookup: RuleAnswers<LookupAnswer> | undefined;
  readonly bucket: unknown;
  readonly sink: unknown;
}
const NOTHING: Made = { check: undefined, lookup: undefined, bucket: undefined, sink: undefined };

/** Passes the rule to its handler, once. */
function madeByHandler(rule: Rule, live: LiveHandler, preparations: Preparations): Made {
  const { name, action, mode } = rule;
  const { handler } = live.open;
  const noted = <T>(made: T): T => {
    preparations.add(live, made, rule);
    return made;
  };
  try {
    switch (action?.kind) {
      case 'check':
      case 'allow': {
        if (handler.check === undefined) throw new Error('it does not serve check');
        const ask = noted(functionOf('check', handler.check({ rule: name, params: action.params })));
        return { ...NOTHING, check: live.answers.forRule(ask, checkAnswersWith(action.output)) };
      }
      case 'enrich': {
        if (handler.lookup === undefined) throw new Error('it does not serve enrich');
        const ask = noted(functionOf('lookup', handler.lookup({ rule: name, params: action.params })));
        return { ...NOTHING, lookup: live.answers.forRule(ask, LOOKUP_ANSWERS) };
      }
      case 'quota': {
        if (handler.bucket === undefined) throw new Error('it does not serve quota');
        const { params, algorithm, perMs } = action;
        const counter = counterOf(action, mode);
        return {
          ...NOTHING,
          bucket: noted(notPromised('bucket', handler.bucket({ rule: name, params, counter, algorithm, perMs }))),
        };
      }
      case 'report': {
        if (handler.sink === undefined) throw new Error('it does not serve report');
        live.reports?.prepare(rule);
        return {
          ...NOTHING,
          sink: noted(notPromised('sink', handler.sink({ rule: name, params: action.params, input: action.shape }))),
        };
      }
      case 'deny':
      case undefined:
        return NOTHING;
    }
  } catch (error) {
    throw new Error(`[${live.gate.label}] ${saidBy(error)}`, { cause: error });
  }
}

/** A plugin in JavaScript may have answered the rule instead of returning what answers its calls. */
function functionOf<T>(method: 'check' | 'lookup', made: T): T {
  if (typeof made === 'function') return made;
  throw new Error(noFunction(method, made));
}
