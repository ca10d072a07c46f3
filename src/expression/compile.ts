/**
 * **In**: text and attributes. **Out**: a {@link Compiled}. **Fails**: with the problems, never by throwing.
 */
import type { Attributes } from '../attributes/attributes.ts';
import type { Bag } from '../attributes/bag.ts';
import { type Type, typeText } from '../attributes/types.ts';
import type { Value } from '../attributes/values.ts';
import { type Budget, DEFAULT_BUDGET, faultText, metered } from './budget.ts';
import {
  type Compilation,
  type Compiled,
  type CompileOptions,
  type CompiledText,
  type Evaluate,
  FAILED,
  type Problem,
  type Read,
  type TextOptions,
  type Traceable,
} from './compiled.ts';
import type { Node } from './parse/ast.ts';
import { SyntaxProblem } from './parse/lexer.ts';
import { parse } from './parse/parser.ts';
import { evaluateBy, generated } from './generate.ts';
import { guardsOf } from './guards.ts';
import { necessaryFor } from './necessary.ts';
import { Planner } from './plan.ts';
import { sharedReads } from './shared-reads.ts';
import type { Plan } from './planned.ts';
import { textOf } from './values/scalar-text.ts';
import { Trace } from './trace.ts';

export function compile(source: string, attributes: Attributes, options: CompileOptions = {}): Compilation<Compiled> {
  const tree = parsed(source);
  if ('problem' in tree) return { compiled: undefined, problems: [tree.problem] };
  const planner = new Planner(attributes, options);
  const plan = planned(planner, tree, options);
  if (planner.problems.length > 0) return { compiled: undefined, problems: planner.problems };
  const { budget = DEFAULT_BUDGET } = options;
  const evaluate = options.backEnd === 'closures' ? evaluateBy(plan.run) : generated(plan);
  const known: Known = {
    reads: sharedReads(planner.reads(), attributes),
    warnings: orShared(planner.warnings),
    proves: provenBy(tree),
    guards: options.withGuards === true ? orShared(necessaryFor(tree, attributes)) : NONE,
  };
  return {
    compiled: compiledOf(
      source,
      plan,
      known,
      planner.isMetered && plan.constant === undefined ? metered(evaluate, budget) : evaluate,
      budget,
    ),
    problems: [],
  };
}

/** The same, to be looked into. */
export function traceable(
  source: string,
  attributes: Attributes,
  options: CompileOptions = {},
): Compilation<Traceable> {
  const tree = parsed(source);
  if ('problem' in tree) return { compiled: undefined, problems: [tree.problem] };
  const trace = new Trace();
  const planner = new Planner(attributes, options, trace);
  const { type, run } = planned(planner, tree, options);
  if (planner.problems.length > 0) return { compiled: undefined, problems: planner.problems };
  const { budget = DEFAULT_BUDGET } = options;
  const evaluate = metered(evaluateBy(run), budget);
  return {
    problems: [],
    compiled: {
      type,
      warnings: planner.warnings,
      evaluate: (bag) => {
        trace.forget();
        let fault: { readonly message: string } | undefined;
        const value = evaluate(bag, (thrown) => {
          fault = { message: faultText(thrown, budget) };
        }) as Value | typeof FAILED;
        return {
          value,
          tree: trace.tree(tree, source),
          failing: value === FAILED ? trace.failing(tree, fault?.message) : undefined,
        };
      },
    },
  };
}

function parsed(source: string): Node | { readonly problem: Problem } {
  try {
    if (source.trim() === '') throw new SyntaxProblem('an expression is expected, this is empty', 0, 1);
    return parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    return {
      problem: {
        code: 'EXPRESSION_SYNTAX',
        message: error.message,
        start: error.start,
        end: Math.max(error.end, error.start + 1),
      },
    };
  }
}

function planned(planner: Planner, tree: Node, { expect, accept, wanted }: CompileOptions): Plan {
  const plan = planner.plan(tree);
  if (planner.problems.length > 0) return plan;
  const { type } = plan;
  if (expect !== undefined && expect.kind !== 'dyn')
    return planner.fit(plan, expect, tree, `${typeText(expect)} is expected here`);
  if (type.kind === 'optional' && accept?.(type) !== true)
    return planner.problem(
      'EXPRESSION_TYPE',
      `this may be absent (${typeText(type)}): say what is meant then with .orValue(...)`,
      tree,
    );
  if (accept !== undefined && !accept(type))
    return planner.problem(
      'EXPRESSION_TYPE',
      `${wanted ?? 'another type'} is expected here; this is ${typeText(type)}`,
      tree,
    );
  return plan;
}

type Known = Pick<Compiled, 'reads' | 'warnings' | 'proves' | 'guards'>;

/** Shared: of many thousand expressions most have none, and an empty array or set of each would be a good part of what is held. */
const NONE: readonly never[] = [];
const NOTHING: ReadonlySet<string> = new Set();
const orShared = <T>(items: readonly T[]): readonly T[] => (items.length === 0 ? NONE : items);

function provenBy(tree: Node): ReadonlySet<string> {
  const proves = guardsOf(tree, true);
  return proves.size === 0 ? NOTHING : proves;
}

function compiledOf(
  source: string,
  { type, constant }: Plan,
  { reads, warnings, proves, guards }: Known,
  evaluate: Evaluate,
  budget: Budget,
): Compiled {
  return {
    source,
    type,
    reads,
    warnings,
    proves,
    guards,
    constant: constant as Value | undefined,
    evaluate: evaluate as Compiled['evaluate'],
    why: budget === DEFAULT_BUDGET ? whyByDefault : whyWithin(budget),
  };
}

/** A function of `this`, so that expressions share it. */
const whyWithin = (budget: Budget): Compiled['why'] =>
  function why(this: Compiled, bag) {
    let fault: string | undefined;
    const evaluate: Evaluate = this.evaluate;
    if (
      evaluate(bag, (thrown) => {
        fault = faultText(thrown, budget);
      }) !== FAILED
    )
      return '';
    return fault ?? whyFailed(this.reads, bag);
  };
const whyByDefault = whyWithin(DEFAULT_BUDGET);

/** What an expression that failed was missing. Values are not shown: they may be secret. */
function whyFailed(reads: readonly Read[], bag: Bag): string {
  const absent = reads.flatMap(({ name, slot, keys, guarded }) => {
    const value = bag.get(slot);
    if (value === undefined) return guarded && keys.length === 0 ? [] : [name];
    if (!(value instanceof Map)) return [];
    return keys
      .filter(({ key, guarded: isGuarded }) => !isGuarded && !value.has(key))
      .map(({ key }) => `${name}[${JSON.stringify(key)}]`);
  });
  if (absent.length === 0)
    return 'an operation failed: a number beyond its range, a missing key or element, or text that cannot be converted';
  return `${absent.join(' and ')} ${absent.length === 1 ? 'is' : 'are'} absent`;
}

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
const SCALARS: ReadonlySet<Type['kind']> = new Set([
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'timestamp',
  'duration',
  'ip',
  'cidr',
  'dyn',
]);

/** Text in which `${expression}` is replaced by its value; `$${` is a literal `${`. */
export function compileText(
  source: string,
  attributes: Attributes,
  { oneLine = false }: TextOptions = {},
): Compilation<CompiledText> {
  const parts: (string | Compiled)[] = [];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  let literal = '';
  for (let at = 0; at < source.length;) {
    if (source.startsWith('$${', at)) {
      literal += '${';
      at += 3;
    } else if (!source.startsWith('${', at)) {
      const char = source[at] ?? '';
      if (oneLine && char !== '\t' && /\p{Cc}/u.test(char) && !problems.some(({ code }) => code === CONTROL_CHARACTER))
        problems.push(controlCharacter(source, at));
      literal += char;
      at += 1;
    } else {
      const end = closingOf(source, at + 2);
      if (end === undefined)
        return {
          compiled: undefined,
          problems: [
            {
              code: 'EXPRESSION_SYNTAX',
              message: 'the ${ that begins here has no closing }; write $${ for the two characters themselves',
              start: at,
              end: at + 2,
            },
          ],
        };
      const from = at + 2;
      const shift = (problem: Problem): Problem => ({
        ...problem,
        start: problem.start + from,
        end: problem.end + from,
      });
      const { compiled, problems: found } = compile(source.slice(from, end), attributes, {
        accept: ({ kind }) => SCALARS.has(kind),
        wanted: 'text, a number, a bool, a time or an address',
      });
      problems.push(...found.map(shift));
      if (compiled !== undefined) {
        warnings.push(...compiled.warnings.map(shift));
        if (literal !== '') parts.push(literal);
        literal = '';
        parts.push(compiled);
      }
      at = end + 1;
    }
  }
  if (literal !== '') parts.push(literal);
  if (problems.length > 0) return { compiled: undefined, problems };
  return { compiled: textOfParts(source, parts, warnings), problems: [] };
}

const CONTROL_CHARACTER = 'EXPRESSION_CONTROL_CHARACTER';

function controlCharacter(source: string, at: number): Problem {
  const isEnd = /^[\r\n]+$/.test(source.slice(at));
  const what = isEnd
    ? 'this text ends in a line break; write |- or >- where the block begins (| and > keep the break at its end), or take it out'
    : `this text holds ${/[\r\n]/.test(source[at] ?? '') ? 'a line break' : 'a control character'}; take it out`;
  return {
    code: CONTROL_CHARACTER,
    message: `a header and a parameter are one line, and ${what}`,
    start: at,
    end: at + 1,
  };
}

/** Where the } of a ${ stands: not one inside quotes, nor of a map within. */
function closingOf(source: string, from: number): number | undefined {
  let depth = 0;
  let quote: string | undefined;
  for (let at = from; at < source.length; at += 1) {
    const char = source[at] ?? '';
    if (quote !== undefined) {
      if (char === '\\') at += 1;
      else if (char === quote) quote = undefined;
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '{') depth += 1;
    else if (char === '}' && depth === 0) return at;
    else if (char === '}') depth -= 1;
  }
  return undefined;
}

function textOfParts(
  source: string,
  parts: readonly (string | Compiled)[],
  warnings: readonly Problem[],
): CompiledText {
  const constant = parts.every((part) => typeof part === 'string') ? parts.join('') : undefined;
  const constantAnswer = { text: constant ?? '', failed: undefined };
  return {
    source,
    warnings,
    constant,
    reads: parts.flatMap((part) => (typeof part === 'string' ? [] : part.reads)),
    render: (bag) => {
      if (constant !== undefined) return constantAnswer;
      let text = '';
      let failed: string | undefined;
      for (const part of parts) {
        if (typeof part === 'string') {
          text += part;
          continue;
        }
        const value = part.evaluate(bag);
        const shown = value === FAILED ? undefined : textOf(value);
        if (shown === undefined) failed ??= `\${${part.source}}: ${part.why(bag) || 'its value is no text'}`;
        else text += shown.replace(CONTROL, '');
      }
      return { text, failed };
    },
  };
}
