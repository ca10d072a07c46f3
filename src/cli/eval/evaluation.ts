/**
 * One expression, checked or evaluated, as `sluice eval` answers it.
 * **In**: a request as JSON has it. **Out**: an answer as JSON. **Fails**: never; what is wrong is in the answer.
 */
import { Attributes } from '../../attributes/attributes.ts';
import type { Bag } from '../../attributes/bag.ts';
import { LookingBag } from '../../attributes/looking-bag.ts';
import { type Type, parseType, typeText } from '../../attributes/types.ts';
import type { Value } from '../../attributes/values.ts';
import { VOCABULARY } from '../../attributes/vocabulary.ts';
import { compile, type CompileOptions, FAILED, type Problem, traceable } from '../../expression/index.ts';
import { CliError } from '../cli-error.ts';
import { jsonOf, valueFor } from './values.ts';

export interface EvalRequest {
  readonly id?: unknown;
  readonly expr: string;
  readonly dialect?: 'cel' | undefined;
  /** Names and types; the built-in vocabulary where absent. */
  readonly vocabulary?: Readonly<Record<string, string>> | undefined;
  /** Only checked where absent. */
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  /** What it must come to. */
  readonly type?: string | undefined;
}

export interface EvalError {
  readonly phase: 'parse' | 'check' | 'eval';
  readonly code: string;
  readonly message: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
}
export type EvalAnswer =
  | { readonly id?: unknown; readonly type: string; readonly value?: unknown; readonly looked?: readonly string[] }
  | { readonly id?: unknown; readonly error: EvalError };

const BUILT_IN = new Attributes(VOCABULARY);
/** Lines usually share one vocabulary. */
const known = new Map<string, Attributes>();
const MOST_KNOWN = 100;

export function attributesOf(vocabulary: Readonly<Record<string, string>> | undefined): Attributes {
  if (vocabulary === undefined) return BUILT_IN;
  const key = JSON.stringify(vocabulary);
  let attributes = known.get(key);
  if (attributes !== undefined) return attributes;
  attributes = new Attributes(Object.entries(vocabulary).map(([name, text]) => {
    const type = typeof text === 'string' ? parseType(text) : undefined;
    if (type === undefined) throw new CliError('CLI_EVAL', `vocabulary: ${name} is ${JSON.stringify(text)}, which is no type; string, int, list(string), map(string, int) are some`);
    return { name, type, meaning: 'Of this evaluation.', source: { kind: 'filled' }, carriedBy: {}, always: false, secret: false };
  }));
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(key, attributes);
  return attributes;
}

export function bagOf(attributes: Attributes, given: Readonly<Record<string, unknown>>): Bag {
  const values: (Value | undefined)[] = [];
  for (const [name, plain] of Object.entries(given)) {
    const slot = attributes.slotOf(name);
    if (slot === undefined) throw new CliError('CLI_EVAL', `attributes: ${name} is not in the vocabulary`);
    values[slot] = valueFor(name, plain, attributes.at(slot).type);
  }
  return { get: (slot) => values[slot] };
}

export function optionsOf({ type }: EvalRequest): CompileOptions {
  if (type === undefined) return { accept: () => true };
  const expect: Type | undefined = parseType(type);
  if (expect === undefined) throw new CliError('CLI_EVAL', `type: ${JSON.stringify(type)} is no type`);
  return { expect };
}

export function answered(request: EvalRequest): EvalAnswer {
  const id = 'id' in request ? { id: request.id } : {};
  try {
    const attributes = attributesOf(request.vocabulary);
    const options = optionsOf(request);
    const { compiled, problems } = compile(request.expr, attributes, options);
    if (compiled === undefined) return { ...id, error: problemOf(request.expr, problems) };
    const type = typeText(compiled.type);
    if (request.attributes === undefined) return { ...id, type };
    const bag = new LookingBag(attributes, bagOf(attributes, request.attributes));
    const value = compiled.evaluate(bag);
    if (value !== FAILED) return { ...id, type, value: jsonOf(value), looked: bag.looked() };
    const failing = traceable(request.expr, attributes, options).compiled?.evaluate(bag).failing;
    return { ...id, error: { phase: 'eval', code: 'EXPRESSION_FAILED', message: failing?.message ?? compiled.why(bag), ...placeOf(request.expr, failing?.start ?? 0) } };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { ...id, error: { phase: 'check', code: error.code, message: error.message, line: 1, column: 1 } };
  }
}

/** The first, where there are several. */
function problemOf(source: string, problems: readonly Problem[]): EvalError {
  const [{ code, message, start } = { code: 'EXPRESSION_SYNTAX', message: 'no expression', start: 0 }] = problems;
  return { phase: code === 'EXPRESSION_SYNTAX' ? 'parse' : 'check', code, message, ...placeOf(source, start) };
}

export function placeOf(source: string, offset: number): { readonly line: number; readonly column: number } {
  const before = source.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
