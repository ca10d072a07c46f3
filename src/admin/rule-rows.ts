/** A rule as `/rules` shows it. */
import type { Action, Rule } from '../core/rules/rule.ts';

export function ruleRow(rule: Rule): object {
  const { file, line } = rule.position;
  return {
    name: rule.name,
    description: rule.description ?? null,
    at: `${file}:${line}`,
    calls: [...rule.calls],
    match: rule.match?.source ?? true,
    action: rule.action === undefined ? null : actionRow(rule.action),
    changes: rule.onAllow !== undefined,
    mode:
      rule.mode.kind === 'percent'
        ? { percent: rule.mode.percent, by: rule.mode.keyExpression?.source ?? null }
        : rule.mode.kind,
    onError: rule.onError,
    sample:
      rule.sample === undefined
        ? null
        : { percent: rule.sample.percent, by: rule.sample.keyExpression?.source ?? null },
  };
}

function actionRow(action: Action): object {
  switch (action.kind) {
    case 'deny':
      return { kind: 'deny', unlessAllowed: action.unlessAllowed ?? null };
    case 'allow':
      return { kind: 'allow', group: action.group, handler: action.handler ?? null };
    case 'check':
      return { kind: 'check', handler: action.handler };
    case 'quota':
      return {
        kind: 'quota',
        handler: action.handler,
        counter: action.counter,
        algorithm: action.algorithm,
        limit: action.limit.source,
        perMs: action.perMs,
        key: action.key.map(({ source }) => source),
      };
    case 'report':
      return { kind: 'report', handler: action.handler };
    case 'enrich':
      return { kind: 'enrich', handler: action.handler, outputs: action.outputs.map(({ name }) => name) };
  }
}
