/**
 * Compiles an expression: parse, check, fold, the other passes, a back end.
 * **In**: text and attributes. **Out**: a {@link Compiled}. **Fails**: with the problems, never by throwing.
 */
import type { Attributes } from '../attributes/attributes.ts';
import type { Bag } from '../attributes/bag.ts';
import type { Value } from '../attributes/values.ts';
import { type Budget, DEFAULT_BUDGET, faultText } from './budget.ts';
import { check } from './check/checker.ts';
import { constantOf, type Typed } from './check/typed.ts';
import { closureOf } from './closures/closures.ts';
import { type Evaluate, evaluatorOf, FAILED, metered } from './closures/evaluate.ts';
import { isMetered } from './closures/metering.ts';
import type { Compilation, Compiled, CompileOptions, Traceable } from './compiled.ts';
import { generated } from './generate/generated.ts';
import type { Node } from './parse/ast.ts';
import { parse } from './parse/parser.ts';
import { type Problem, SyntaxProblem } from './parse/problem.ts';
import { fold } from './passes/fold.ts';
import { indexGuards } from './passes/index-guards.ts';
import { patternsFirst } from './passes/pattern-first.ts';
import { presenceProvenBy } from './passes/presence.ts';
import { type Read, readsOf, sharedReads } from './passes/reads.ts';
import { Trace } from './passes/trace.ts';

export function compile(source: string, attributes: Attributes, options: CompileOptions = {}): Compilation<Compiled> {
  const { tree, problems, warnings } = checkedTree(source, attributes, options);
  if (tree === undefined) return { compiled: undefined, problems };
  const found = readsOf(tree, attributes, options.given);
  const { budget = DEFAULT_BUDGET } = options;
  const evaluate = options.backEnd === 'closures' ? evaluatorOf(closureOf(tree)) : generated(tree);
  const compiled: Compiled = {
    source,
    type: tree.type,
    reads: sharedReads(found.reads, attributes),
    warnings: inOrder(warnings, found.warnings),
    proves: presenceProvenBy(tree, true, attributes),
    guards: options.withGuards === true ? orShared(indexGuards(tree, attributes)) : NONE,
    constant: constantOf(tree) as Value | undefined,
    evaluate: (isMetered(tree) ? metered(evaluate, budget) : evaluate) as Compiled['evaluate'],
    why: budget === DEFAULT_BUDGET ? whyByDefault : whyWithin(budget),
  };
  return { compiled, problems: [] };
}

/** As {@link compile}, with a trace of each evaluation. */
export function traceable(
  source: string,
  attributes: Attributes,
  options: CompileOptions = {},
): Compilation<Traceable> {
  const { tree, problems, warnings } = checkedTree(source, attributes, options);
  if (tree === undefined) return { compiled: undefined, problems };
  const trace = new Trace(source, tree);
  const { budget = DEFAULT_BUDGET } = options;
  const evaluate = metered(evaluatorOf(closureOf(tree, trace.decorate)), budget);
  return {
    problems: [],
    compiled: {
      type: tree.type,
      warnings: inOrder(warnings, readsOf(tree, attributes, options.given).warnings),
      evaluate: (bag) => {
        trace.forget();
        let fault: string | undefined;
        const value = evaluate(bag, (thrown) => {
          fault = faultText(thrown, budget);
        }) as Value | typeof FAILED;
        return { value, tree: trace.tree(), failing: value === FAILED ? trace.failing(fault) : undefined };
      },
    },
  };
}

interface CheckedTree {
  /** `undefined` if there are problems. */
  readonly tree: Typed | undefined;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

function checkedTree(source: string, attributes: Attributes, options: CompileOptions): CheckedTree {
  const node = parsed(source);
  if ('problem' in node) return { tree: undefined, problems: [node.problem], warnings: NONE };
  const checked = check(node, attributes, options);
  const folded = fold(checked.tree);
  const problems = options.unchecked === true ? NONE : inOrder(checked.problems, folded.problems);
  if (problems.length > 0) return { tree: undefined, problems, warnings: NONE };
  return { tree: folded.tree, problems, warnings: inOrder(folded.warnings, patternsFirst(folded.tree, source)) };
}

function parsed(source: string): Node | { readonly problem: Problem } {
  try {
    if (source.trim() === '') throw new SyntaxProblem('expected an expression; found nothing', 0, 1);
    return parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    const { message, start, end } = error;
    return { problem: { code: 'EXPRESSION_SYNTAX', message, start, end: Math.max(end, start + 1) } };
  }
}

/** Shared, since most expressions have none and an empty array for each would take memory. */
const NONE: readonly never[] = [];
const orShared = <T>(items: readonly T[]): readonly T[] => (items.length === 0 ? NONE : items);

/** In the order of the text. */
const inOrder = (one: readonly Problem[], other: readonly Problem[]): readonly Problem[] =>
  one.length === 0 && other.length === 0 ? NONE : [...one, ...other].toSorted((a, b) => a.start - b.start);

/** A function of `this`, so that expressions share it. */
const whyWithin = (budget: Budget): Compiled['why'] =>
  function why(this: Compiled, bag) {
    let fault: string | undefined;
    const evaluate: Evaluate = this.evaluate;
    const value = evaluate(bag, (thrown) => {
      fault = faultText(thrown, budget);
    });
    return value === FAILED ? (fault ?? missing(this.reads, bag)) : '';
  };
const whyByDefault = whyWithin(DEFAULT_BUDGET);

/** Names the absent attributes and keys of a failed evaluation; not their values, which may be secret. */
function missing(reads: readonly Read[], bag: Bag): string {
  const absent = reads.flatMap(({ name, slot, keys, guarded }) => {
    const value = bag.get(slot);
    if (value === undefined) return guarded && keys.length === 0 ? [] : [name];
    if (!(value instanceof Map)) return [];
    return keys
      .filter(({ key, guarded: isGuarded }) => !isGuarded && !value.has(key))
      .map(({ key }) => `${name}[${JSON.stringify(key)}]`);
  });
  if (absent.length === 0)
    return 'an operation failed: a number out of range, a missing key or element, or text that cannot be converted';
  return `${absent.join(' and ')} ${absent.length === 1 ? 'is' : 'are'} absent`;
}
