/**
 * `"^/a".matches(request.path)`, as Mixer's language has it: a constant text tested by a pattern that the call gives.
 * **In**: a folded tree and its text. **Out**: a warning for each. **Fails**: never.
 */
import { childrenOf, constantOf, type Typed } from '../check/typed.ts';
import type { Node } from '../parse/ast.ts';
import type { Problem } from '../parse/problem.ts';

const NONE: readonly never[] = [];

export function patternsFirst(tree: Typed, source: string): readonly Problem[] {
  return source.includes('matches') ? found(tree, source) : NONE;
}

function found(typed: Typed, source: string): readonly Problem[] {
  const below = childrenOf(typed).flatMap((child) => found(child, source));
  const isMatches =
    (typed.kind === 'call' && typed.overload.name === 'matches') ||
    (typed.kind === 'dispatch' && typed.overloads.some(({ name }) => name === 'matches'));
  const [text, pattern] = isMatches ? typed.args : NONE;
  const constant = text === undefined ? undefined : constantOf(text);
  if (typeof constant !== 'string' || pattern === undefined || constantOf(pattern) !== undefined) return below;
  const { start, end } = typed.node;
  const { node } = pattern;
  const read = source.slice(node.start, node.end);
  const receiver = isOperation(node) ? `(${read})` : read;
  const message =
    `the text ${JSON.stringify(constant)} is tested by the pattern in ${read}; ` +
    `the pattern is the argument: write ${receiver}.matches(${JSON.stringify(constant)})`;
  return [...below, { code: 'EXPRESSION_PATTERN_FIRST', start, end, message }];
}

/** Operators are calls named by their sign. */
const isOperation = (node: Node): boolean =>
  ['and', 'or', 'if'].includes(node.kind) || (node.kind === 'call' && !/^\w/.test(node.name));
