/** The output of a check, by the adapter's declaration. A plugin may return anything. */
import type { CheckAnswer, Shape, ShapeType } from '../../adapters/contract.ts';
import { kindOf } from '../../text/kind-of.ts';
import { shortened } from '../../text/shortened.ts';
import { isOfShape } from '../rules/actions/convert.ts';
import { type AnswerKind, CHECK_ANSWERS } from './answer-kinds.ts';

/** By the output: thousands of rules ask one handler. */
const known = new WeakMap<Shape, AnswerKind<CheckAnswer>>();

/** Answers of a handler whose output has these names and types. */
export function checkAnswersWith(output: Shape): AnswerKind<CheckAnswer> {
  let kind = known.get(output);
  if (kind === undefined) known.set(output, (kind = madeFor(output)));
  return kind;
}

function madeFor(output: Shape): AnswerKind<CheckAnswer> {
  const types = new Map(Object.entries(output).map(([name, type]) => [name, type.replace(/\?$/, '') as ShapeType]));
  return {
    ...CHECK_ANSWERS,
    problemOf: (answer) => CHECK_ANSWERS.problemOf(answer) ?? outputProblem(answer.output, types),
  };
}

/** Any value may be absent. */
function outputProblem(output: unknown, types: ReadonlyMap<string, ShapeType>): string | undefined {
  if (output === undefined || output === null) return undefined;
  if (typeof output !== 'object' || Array.isArray(output))
    return `the output of a check is values by name, not ${kindOf(output)}`;
  for (const name of Object.keys(output)) {
    const value: unknown = (output as Readonly<Record<string, unknown>>)[name];
    if (value === undefined || value === null) continue;
    const type = types.get(name);
    if (type === undefined)
      return `${shownName(name)} is declared; declared: ${[...types.keys()].join(', ') || 'nothing'}`;
    if (!isOfShape(type, value)) return `the output ${name} is ${kindOf(value)}, and not a valid ${type}, as declared`;
  }
  return undefined;
}

const shownName = (name: string): string => `no output ${JSON.stringify(shortened(name, MAX_NAME))}`;
const MAX_NAME = 100;
