/**
 * Checks or evaluates one expression, for `sluice eval`.
 * **In**: a request as JSON. **Out**: an answer as JSON. **Fails**: never; an error is in the answer.
 */
import { type Attribute, Attributes } from '../../attributes/attributes.ts';
import { type Bag, RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { AttributeError } from '../../attributes/errors.ts';
import { plainRequest } from '../../attributes/plain-request.ts';
import { DependencyBag } from '../../attributes/dependency-bag.ts';
import {
  BOOL,
  DOUBLE,
  DURATION,
  INT,
  IP,
  STRING,
  STRING_MAP,
  TIMESTAMP,
  type Type,
  parseType,
  typeText,
} from '../../attributes/types.ts';
import type { Value } from '../../attributes/values.ts';
import { VOCABULARY } from '../../attributes/vocabulary.ts';
import { compile, type CompileOptions, FAILED, type Problem, traceable } from '../../expression/index.ts';
import { compileIstio, istioTypeOf } from '../../importers/mixer/expression/compile.ts';
import { ISTIO_TYPES, type IstioType } from '../../importers/mixer/expression/tree.ts';
import { CliError } from '../cli-error.ts';
import { fromJson, jsonOf, valueFor } from './values.ts';

export interface EvalRequest {
  readonly id?: unknown;
  readonly expr: string;
  readonly dialect?: 'cel' | 'istio' | undefined;
  /** Types by name, in the dialect's words; absent: the built-in vocabulary. */
  readonly vocabulary?: Readonly<Record<string, string>> | undefined;
  /** Absent: the expression is checked and not evaluated. */
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  /** The expected type. */
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

export interface Vocabulary {
  readonly attributes: Attributes;
  /** Types of attributes in the Istio dialect. */
  readonly istioTypes: ReadonlyMap<string, IstioType>;
}

const BUILT_IN: Vocabulary = { attributes: new Attributes(VOCABULARY), istioTypes: new Map() };
/** By its JSON, since input lines usually share one. */
const known = new Map<string, Vocabulary>();
const MAX_KNOWN = 100;

export function vocabularyOf({ vocabulary, dialect }: Pick<EvalRequest, 'vocabulary' | 'dialect'>): Vocabulary {
  if (vocabulary === undefined) return BUILT_IN;
  const key = `${dialect ?? 'cel'} ${JSON.stringify(vocabulary)}`;
  const found = known.get(key) ?? declaredVocabulary(vocabulary, dialect);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(key, found);
  return found;
}

function declaredVocabulary(vocabulary: Readonly<Record<string, string>>, dialect: EvalRequest['dialect']): Vocabulary {
  const istioTypes = new Map<string, IstioType>();
  const rows = Object.entries(vocabulary).map(([name, text]): Attribute => {
    const istio = dialect === 'istio' ? istioTypeNamed(text) : undefined;
    if (istio !== undefined) istioTypes.set(name, istio);
    const type = istio === undefined ? parseType(text) : HELD_AS[istio];
    if (type === undefined)
      throw new CliError(
        'CLI_EVAL',
        `vocabulary: ${name} is ${JSON.stringify(text)}, which is not a type; expected one such as ${dialect === 'istio' ? ISTIO_TYPES.join(', ') : 'string, int, list(string), map(string, int)'}`,
      );
    return {
      name,
      type,
      meaning: 'Declared for this evaluation.',
      source: { kind: 'filled' },
      carriedBy: {},
      always: false,
      secret: false,
    };
  });
  return { attributes: new Attributes(rows), istioTypes };
}

/** CEL's type for the values of each type of Istio. */
const HELD_AS: Readonly<Record<IstioType, Type>> = {
  STRING,
  INT64: INT,
  DOUBLE,
  BOOL,
  TIMESTAMP,
  DURATION,
  IP_ADDRESS: IP,
  STRING_MAP,
  DNS_NAME: STRING,
  EMAIL_ADDRESS: STRING,
  URI: STRING,
};
const istioTypeNamed = (text: string): IstioType | undefined => ISTIO_TYPES.find((name) => name === text);
/** CEL's name of the type, if it has one. */
const typeName = (type: IstioType): string =>
  ['DNS_NAME', 'EMAIL_ADDRESS', 'URI'].includes(type) ? type : typeText(HELD_AS[type]);

function bagOf(attributes: Attributes, given: Readonly<Record<string, unknown>>): Bag {
  const values: (Value | undefined)[] = [];
  for (const [name, plain] of Object.entries(given)) {
    const slot = attributes.slotOf(name);
    if (slot === undefined) throw new CliError('CLI_EVAL', `attributes: ${name} is not in the vocabulary`);
    values[slot] = valueFor(name, plain, attributes.at(slot).type);
  }
  return { get: (slot) => values[slot] };
}

/** As of a request: what is derived of others, such as request.url_path, need not be given. For the built-in vocabulary. */
export function requestBagOf(
  { attributes }: Vocabulary,
  given: Readonly<Record<string, unknown>>,
  call?: CallKind,
): Bag {
  const plain = Object.entries(given).map(([name, value]) => {
    const slot = attributes.slotOf(name);
    if (slot === undefined) return [name, value] as const;
    const { type } = attributes.at(slot);
    valueFor(name, value, type);
    return [name, fromJson(value, type)] as const;
  });
  try {
    return new RequestBag(attributes, plainRequest(attributes, Object.fromEntries(plain), call));
  } catch (error) {
    if (!(error instanceof AttributeError)) throw error;
    throw new CliError('CLI_EVAL', `attributes: ${error.message}`, { cause: error });
  }
}

export function optionsOf({ type }: EvalRequest): CompileOptions {
  if (type === undefined) return { accept: () => true };
  const expect: Type | undefined = parseType(type);
  if (expect === undefined) throw new CliError('CLI_EVAL', `type: ${JSON.stringify(type)} is not a type`);
  return { expect };
}

export function answerOf(request: EvalRequest): EvalAnswer {
  const id = 'id' in request ? { id: request.id } : {};
  try {
    return { ...id, ...(request.dialect === 'istio' ? istioAnswer(request) : celAnswer(request)) };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { ...id, error: { phase: 'check', code: error.code, message: error.message, line: 1, column: 1 } };
  }
}

function celAnswer(request: EvalRequest): EvalAnswer {
  const vocabulary = vocabularyOf(request);
  const { attributes } = vocabulary;
  const options = optionsOf(request);
  const { compiled, problems } = compile(request.expr, attributes, options);
  if (compiled === undefined) return { error: problemOf(request.expr, problems) };
  const type = typeText(compiled.type);
  if (request.attributes === undefined) return { type };
  const below =
    request.vocabulary === undefined
      ? requestBagOf(vocabulary, request.attributes)
      : bagOf(attributes, request.attributes);
  const bag = new DependencyBag(attributes, below);
  const value = compiled.evaluate(bag);
  if (value !== FAILED) return { type, value: jsonOf(value), looked: bag.dependencies() };
  const failing = traceable(request.expr, attributes, options).compiled?.evaluate(bag).failing;
  return {
    error: {
      phase: 'eval',
      code: 'EXPRESSION_FAILED',
      message: failing?.message ?? compiled.why(bag),
      ...placeOf(request.expr, failing?.start ?? 0),
    },
  };
}

function istioAnswer(request: EvalRequest): EvalAnswer {
  const { attributes, istioTypes } = vocabularyOf(request);
  const made = compileIstio(request.expr, attributes, { types: istioTypes, expect: istioExpected(request) });
  if (made.compiled === undefined) return { error: problemOf(request.expr, made.problems) };
  const { compiled } = made;
  const type = typeName(compiled.type);
  if (request.attributes === undefined) return { type };
  const bag = new DependencyBag(attributes, bagOf(attributes, request.attributes));
  const value = compiled.evaluate(bag);
  if (value !== FAILED) return { type, value: jsonOf(value), looked: bag.dependencies() };
  return { error: { phase: 'eval', code: 'EXPRESSION_FAILED', message: compiled.why(bag), line: 1, column: 1 } };
}

function istioExpected({ type }: EvalRequest): IstioType | undefined {
  if (type === undefined) return undefined;
  const parsed = parseType(type);
  const expected = istioTypeNamed(type) ?? (parsed === undefined ? undefined : istioTypeOf(parsed));
  if (expected === undefined)
    throw new CliError(
      'CLI_EVAL',
      `type: ${JSON.stringify(type)} is not a type of Istio's language; its types are ${ISTIO_TYPES.join(', ')}`,
    );
  return expected;
}

/** The first problem. */
function problemOf(source: string, problems: readonly Problem[]): EvalError {
  const [{ code, message, start } = { code: 'EXPRESSION_SYNTAX', message: 'no expression', start: 0 }] = problems;
  return { phase: code === 'EXPRESSION_SYNTAX' ? 'parse' : 'check', code, message, ...placeOf(source, start) };
}

export function placeOf(source: string, offset: number): { readonly line: number; readonly column: number } {
  const before = source.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
