import { type LocalCounts, type PreparedRule, shadowCounter } from '../outcome.ts';
import type { RuleMeters } from '../metrics/meters.ts';
import { shareSeed } from '../match/percentage.ts';
import type { HandlerSpec, Policy } from '../rules/policy.ts';
import type { QuotaAction, Rule } from '../rules/rule.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import { messageOf } from '../../text/message-of.ts';

/** Throws what the handler throws, as an Error that says what was asked of it. */
export function prepareRule(
  rule: Rule,
  { handlers: specs }: Pick<Policy, 'handlers'>,
  handlers: ReadonlyMap<string, LiveHandler>,
  meters: RuleMeters,
): PreparedRule {
  const { action, onError } = rule;
  const name = handlerOf(rule);
  const handler = name === undefined ? undefined : handlers.get(name);
  if (name !== undefined && handler === undefined) throw new Error(`the policy has no handler ${name}`);
  const made = handler === undefined ? NOTHING : prepared(rule, handler);
  return {
    rule,
    meters,
    match: rule.match?.evaluate,
    handler,
    ...made,
    local: name === undefined ? undefined : localOf(rule, specs.get(name), handlers),
    seed: shareSeed(rule.name),
    sampleSeed: shareSeed(`${rule.name}#sample`),
    failedMatchApplies: action?.kind === 'quota' && onError.input === undefined,
    inputWord: onError.input ?? 'deny',
  };
}

const counterOf = ({ counter }: QuotaAction, { kind }: Rule['mode']): string =>
  kind === 'shadow' ? shadowCounter(counter) : counter;

/** Its counters are apart from those of rules that name that handler themselves. */
function localOf(
  { name, action, mode, onError }: Rule,
  away: HandlerSpec | undefined,
  handlers: ReadonlyMap<string, LiveHandler>,
): LocalCounts | undefined {
  const local = away?.local;
  if (action?.kind !== 'quota' || !onError.local || away === undefined || local === undefined) return undefined;
  const handler = handlers.get(local.handler);
  if (handler?.open.handler.bucket === undefined)
    throw new Error(`the policy has no handler ${local.handler} that serves quota`);
  const { algorithm, perMs } = action;
  const counter = `${counterOf(action, mode)}#${away.name}`;
  return {
    handler,
    replicas: local.replicas,
    bucket: handler.open.handler.bucket({ rule: name, params: undefined, counter, algorithm, perMs }),
  };
}

const NOTHING = { check: undefined, lookup: undefined, bucket: undefined, sink: undefined };

function handlerOf({ action }: Rule): string | undefined {
  switch (action?.kind) {
    case 'check':
      return action.ask.handler;
    case 'allow':
      return action.ask?.handler;
    case 'quota':
    case 'report':
    case 'enrich':
      return action.handler;
    case 'deny':
    case undefined:
      return undefined;
  }
}

function prepared(
  { name, action, mode }: Rule,
  live: LiveHandler,
): Pick<PreparedRule, 'check' | 'lookup' | 'bucket' | 'sink'> {
  const { handler } = live.open;
  const { label } = live.gate;
  try {
    switch (action?.kind) {
      case 'check':
      case 'allow': {
        if (handler.check === undefined) throw new Error('it does not serve check');
        return { ...NOTHING, check: handler.check({ rule: name, params: action.ask?.params }) };
      }
      case 'enrich': {
        if (handler.lookup === undefined) throw new Error('it does not serve enrich');
        return { ...NOTHING, lookup: handler.lookup({ rule: name, params: action.params }) };
      }
      case 'quota': {
        if (handler.bucket === undefined) throw new Error('it does not serve quota');
        const { params, algorithm, perMs } = action;
        return {
          ...NOTHING,
          bucket: handler.bucket({ rule: name, params, counter: counterOf(action, mode), algorithm, perMs }),
        };
      }
      case 'report': {
        if (handler.sink === undefined) throw new Error('it does not serve report');
        return { ...NOTHING, sink: handler.sink({ rule: name, params: action.params, input: action.shape }) };
      }
      case 'deny':
      case undefined:
        return NOTHING;
    }
  } catch (error) {
    throw new Error(`[${label}] ${messageOf(error)}`, { cause: error });
  }
}
