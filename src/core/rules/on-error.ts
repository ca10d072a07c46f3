/** `onError` by action: which parts of a rule can fail, and what a failure may come to (RULES section 6). */
import type { ActionKind } from './actions.ts';
import { fieldsOf } from './fields.ts';
import type { Findings } from './yaml/findings.ts';
import { type Node, nodeText } from './yaml/nodes.ts';
import type { ErrorWord, Rule } from './rule.ts';

type Part = 'input' | 'handler';
type Word = ErrorWord | 'local';
type Words = Partial<Readonly<Record<Part, readonly Word[]>>>;

const WORDS: Readonly<Record<ActionKind | 'none' | 'asking allow', Words>> = {
  deny: { input: ['deny', 'allow'] },
  check: { input: ['deny', 'allow'], handler: ['deny', 'allow', 'error'] },
  quota: { input: ['deny', 'allow'], handler: ['deny', 'allow', 'error', 'local'] },
  allow: {},
  'asking allow': { handler: ['deny', 'allow', 'error'] },
  report: {},
  enrich: {},
  none: {},
};

export function onErrorOf(
  node: Node | undefined,
  kind: ActionKind | undefined,
  isAsking: boolean,
  findings: Findings,
): Rule['onError'] {
  const words = WORDS[kind === 'allow' && isAsking ? 'asking allow' : (kind ?? 'none')];
  const defaults: Rule['onError'] = {
    input: kind === 'quota' ? undefined : 'deny',
    handler: kind === 'quota' ? 'allow' : 'deny',
    local: false,
  };
  if (node === undefined) return defaults;
  const parts = Object.keys(words) as Part[];
  if (parts.length === 0) {
    findings.error(
      'RULES_ON_ERROR',
      node.place,
      `onError has no meaning for ${kind ?? 'a rule without an action'}: its failures have one outcome only (docs/rules.md, section 6); remove it`,
    );
    return defaults;
  }
  if (node.kind === 'scalar') {
    const fitting = parts.filter((part) => words[part]?.some((word) => word === node.value));
    if (fitting.length === 0)
      findings.error('RULES_ON_ERROR', node.place, `onError is ${nodeText(node)}; ${wordsOf(words)} can be said here`);
    return { ...defaults, ...said(fitting.map((part) => [part, node.value as Word])) };
  }
  const fields = fieldsOf(node, 'onError', findings)?.only(parts);
  return {
    ...defaults,
    ...said(
      parts.flatMap((part): [Part, Word][] => {
        const word = fields?.word(part, words[part] ?? []);
        return word === undefined ? [] : [[part, word]];
      }),
    ),
  };
}

const said = (words: readonly (readonly [Part, Word])[]): Partial<Rule['onError']> =>
  Object.fromEntries(words.map(([part, word]) => (word === 'local' ? ['local', true] : [part, word])));

const wordsOf = (words: Words): string =>
  Object.entries(words)
    .map(([part, known]) => `${part}: ${known.join(' or ')}`)
    .join('; ');
