/** `onError` of a rule: the result of a failure of each of its parts, by the table of actions. */
import { ACTIONS, type ErrorWord, type HandlerErrorWord, type RuleKind } from '../../actions.ts';
import { fieldsOf } from '../../../yaml/fields.ts';
import type { Rule } from '../rule.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { KEYS } from '../keys.ts';
import { type Node, nodeText } from '../../../yaml/nodes.ts';

type Part = (typeof KEYS.onError)[number];

/** `asksHandler`: an allow rule may do without one. */
export function onErrorOf(
  node: Node | undefined,
  kind: RuleKind,
  asksHandler: boolean,
  findings: Findings,
): Rule['onError'] {
  const { input, handler } = ACTIONS[kind].onError;
  const defaults: Rule['onError'] = { input: input.default, handler: handler.default, local: false };
  if (node === undefined) return defaults;
  const words: Readonly<Record<Part, readonly HandlerErrorWord[]>> = {
    input: input.words,
    handler: asksHandler ? handler.words : [],
  };
  const parts = KEYS.onError.filter((part) => words[part].length > 0);
  if (parts.length === 0) {
    findings.error(
      'RULES_ON_ERROR',
      node.place,
      `onError has no meaning for ${kind === 'none' ? 'a rule without an action' : kind}, whose failures have a fixed result ` +
        '(docs/rules.md, section 6); remove it',
    );
    return defaults;
  }
  if (node.kind === 'scalar') {
    const fitting = parts.filter((part) => words[part].some((word) => word === node.value));
    if (fitting.length === 0)
      findings.error(
        'RULES_ON_ERROR',
        node.place,
        `onError is ${nodeText(node)}; expected ${parts.map((part) => `${part}: ${words[part].join(' or ')}`).join('; ')}`,
      );
    return { ...defaults, ...written(fitting.map((part) => [part, node.value as HandlerErrorWord])) };
  }
  const fields = fieldsOf(node, 'onError', findings)?.only(parts);
  return {
    ...defaults,
    ...written(
      parts.flatMap((part): [Part, HandlerErrorWord][] => {
        const word = fields?.word(part, words[part]);
        return word === undefined ? [] : [[part, word]];
      }),
    ),
  };
}

const written = (words: readonly (readonly [Part, HandlerErrorWord])[]): Partial<Rule['onError']> =>
  Object.fromEntries(words.map(([part, word]) => (word === 'local' ? ['local', true] : [part, word as ErrorWord])));
