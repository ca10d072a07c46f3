import type { Changes, Rule } from '../core/rules/rule.ts';
import type { Compiled, CompiledText } from '../expression/index.ts';

type Reading = Pick<Compiled | CompiledText, 'source' | 'reads'>;

/** All expressions and texts of a rule. */
export function expressionsOf({ match, action, onAllow, onDeny, mode, sample }: Rule): readonly Reading[] {
  const ofAction: readonly (Compiled | undefined)[] =
    action === undefined || action.kind === 'deny'
      ? []
      : action.kind === 'quota'
        ? [...action.key, action.limit, action.cost, action.burst, action.once]
        : action.inputs;
  const all: readonly (Reading | undefined)[] = [
    match,
    ...ofAction,
    mode.kind === 'percent' ? mode.keyExpression : undefined,
    sample?.keyExpression,
    ...textsOf(onAllow),
    onDeny?.body,
    ...(onDeny?.headers ?? []).map(([, text]) => text),
  ];
  return all.filter((one) => one !== undefined);
}

const textsOf = (changes: Changes | undefined): readonly CompiledText[] =>
  changes === undefined
    ? []
    : [
        ...[changes.request, changes.response].flatMap(({ set, append }) => [...set, ...append]),
        ...changes.query.set,
        ...changes.metadata,
      ].map(([, text]) => text);
