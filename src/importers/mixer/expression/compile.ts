/**
 * Expressions in Mixer's language ("CEXL"), for policies written for Istio's Mixer.
 * **In**: text, attributes, the expected type. **Out**: an expression over a bag, with Mixer's rules for absent attributes.
 * **Fails**: with the first problem, in the words of Mixer's checker.
 */
import type { Attributes } from '../../../attributes/attributes.ts';
import type { Bag } from '../../../attributes/bag.ts';
import type { Type } from '../../../attributes/types.ts';
import type { Value } from '../../../attributes/values.ts';
import { FAILED, type Problem } from '../../../expression/index.ts';
import { EvaluationFailure, type Parameter, SIGNATURES, type Signature } from './functions.ts';
import { addition, COMPARISONS, equality, ordering } from './operators.ts';
import { parseIstio } from './parse.ts';
import { MixerSyntaxError } from './tokens.ts';
import { type IstioType, type Tree, treeText } from './tree.ts';

export interface IstioOptions {
  /** Types of attributes that CEL does not have: DNS_NAME, EMAIL_ADDRESS, URI. Their values are text. */
  readonly types?: ReadonlyMap<string, IstioType>;
  readonly expect?: IstioType | undefined;
}

export interface IstioCompiled {
  readonly type: IstioType;
  evaluate(bag: Bag): Value | typeof FAILED;
  /** The reason in Mixer's words; empty if the evaluation succeeds. */
  why(bag: Bag): string;
}
export type IstioCompilation =
  | { readonly compiled: IstioCompiled }
  | { readonly compiled: undefined; readonly problems: readonly [Problem] };

const TYPES: Partial<Readonly<Record<Type['kind'], IstioType>>> = {
  string: 'STRING',
  int: 'INT64',
  double: 'DOUBLE',
  bool: 'BOOL',
  timestamp: 'TIMESTAMP',
  duration: 'DURATION',
  ip: 'IP_ADDRESS',
};

/** Istio's name of a type; `undefined` for the types that Istio lacks (uint, bytes, lists ...). */
export function istioTypeOf(type: Type): IstioType | undefined {
  return type.kind === 'map'
    ? type.key.kind === 'string' && type.of.kind === 'string'
      ? 'STRING_MAP'
      : undefined
    : TYPES[type.kind];
}

type Run = (bag: Bag) => Value;
interface Evaluator {
  readonly type: IstioType;
  readonly run: Run;
  /** Used to the left of `|`: `undefined` for an absent attribute, where `run` throws. */
  readonly orAbsent: (bag: Bag) => Value | undefined;
}

class CheckError extends Error {
  readonly code: string;
  readonly tree: Tree;
  constructor(code: string, message: string, tree: Tree) {
    super(message);
    this.code = code;
    this.tree = tree;
  }
}

export function compileIstio(source: string, attributes: Attributes, options: IstioOptions = {}): IstioCompilation {
  try {
    const tree = parseIstio(source);
    const { type, run } = new Compiler(attributes, options).compiled(tree);
    if (options.expect !== undefined && type !== options.expect)
      throw new CheckError(
        'EXPRESSION_TYPE',
        `expression ${treeText(tree)} is of type ${type}, ${options.expect} is expected here`,
        tree,
      );
    return {
      compiled: {
        type,
        evaluate: (bag) =>
          attempt<Value | typeof FAILED>(
            run,
            bag,
            (value) => value,
            () => FAILED,
          ),
        why: (bag) =>
          attempt(
            run,
            bag,
            () => '',
            (message) => message,
          ),
      },
    };
  } catch (error) {
    if (error instanceof MixerSyntaxError) return failed('EXPRESSION_SYNTAX', error.message, error.start, error.end);
    if (error instanceof CheckError) return failed(error.code, error.message, error.tree.start, error.tree.end);
    throw error;
  }
}

const failed = (code: string, message: string, start: number, end: number): IstioCompilation => ({
  compiled: undefined,
  problems: [{ code, message, start, end: Math.max(end, start + 1) }],
});

function attempt<T>(run: Run, bag: Bag, done: (value: Value) => T, fail: (message: string) => T): T {
  try {
    return done(run(bag));
  } catch (error) {
    return fail(
      error instanceof EvaluationFailure
        ? error.message
        : `internal error (${error instanceof Error ? error.name : typeof error})`,
    );
  }
}

class Compiler {
  readonly #attributes: Attributes;
  readonly #options: IstioOptions;

  constructor(attributes: Attributes, options: IstioOptions) {
    this.#attributes = attributes;
    this.#options = options;
  }

  compiled(tree: Tree): Evaluator {
    if (tree.kind === 'constant') {
      const { type, value } = tree;
      return { type, run: () => value, orAbsent: () => value };
    }
    return tree.kind === 'variable' ? this.#variable(tree) : this.#function(tree);
  }

  #variable(tree: Tree & { kind: 'variable' }): Evaluator {
    const { name } = tree;
    const slot = this.#attributes.slotOf(name);
    if (slot === undefined) throw new CheckError('EXPRESSION_UNKNOWN_ATTRIBUTE', `unknown attribute ${name}`, tree);
    const type = this.#options.types?.get(name) ?? istioTypeOf(this.#attributes.at(slot).type);
    if (type === undefined)
      throw new CheckError(
        'EXPRESSION_NO_OVERLOAD',
        `the attribute ${name} is of a type that Istio's language does not have`,
        tree,
      );
    return {
      type,
      orAbsent: (bag) => bag.get(slot),
      run: (bag) => {
        const value = bag.get(slot);
        if (value === undefined) throw new EvaluationFailure(`lookup failed: '${name}'`);
        return value;
      },
    };
  }

  #function(tree: Tree & { kind: 'function' }): Evaluator {
    const { name, target, args } = tree;
    const signature = SIGNATURES.get(name);
    if (signature === undefined) throw new CheckError('EXPRESSION_UNKNOWN_FUNCTION', `unknown function: ${name}`, tree);
    if (signature.target !== undefined && target === undefined)
      throw new CheckError('EXPRESSION_NO_OVERLOAD', `invoking instance method without an instance: ${name}`, tree);
    if (signature.target === undefined && target !== undefined)
      throw new CheckError('EXPRESSION_NO_OVERLOAD', `invoking regular function on instance method: ${name}`, tree);
    const on = target === undefined ? undefined : this.compiled(target);
    if (on !== undefined && on.type !== signature.target)
      throw new CheckError(
        'EXPRESSION_NO_OVERLOAD',
        `${treeText(tree)} target typeError got ${on.type}, expected ${String(signature.target)}`,
        tree,
      );
    const { params } = signature;
    if (args.length !== params.length)
      throw new CheckError(
        'EXPRESSION_NO_OVERLOAD',
        `${treeText(tree)} arity mismatch. Got ${args.length} arg(s), expected ${params.length} arg(s)`,
        tree,
      );
    let any: IstioType | undefined;
    const parts = args.map((arg, at): Evaluator => {
      const part = this.compiled(arg);
      const param: Parameter = params[at] ?? 'T';
      if (param === 'T') any ??= part.type;
      const wanted = param === 'T' ? any : param;
      if (part.type !== wanted)
        throw new CheckError(
          'EXPRESSION_NO_OVERLOAD',
          `${treeText(tree)} arg ${at + 1} (${treeText(arg)}) typeError got ${part.type}, expected ${String(wanted)}`,
          arg,
        );
      return part;
    });
    const type = signature.result === 'T' ? (any ?? 'STRING') : signature.result;
    return this.#call(tree, type, any ?? 'STRING', on === undefined ? parts : [on, ...parts], signature);
  }

  /** A function's value is never absent, so it ends a chain of `|`. */
  #call(
    tree: Tree & { kind: 'function' },
    type: IstioType,
    of: IstioType,
    parts: readonly Evaluator[],
    { run: call }: Signature,
  ): Evaluator {
    const strict = (run: Run): Evaluator => ({ type, run, orAbsent: run });
    const [a, b, c] = parts;
    if (a === undefined || call !== undefined)
      return strict((bag) =>
        (call as unknown as (...args: readonly Value[]) => Value)(...parts.map(({ run }) => run(bag))),
      );
    if (b === undefined) throw new RangeError(`the operator ${tree.name} takes two arguments`);
    switch (tree.name) {
      case 'LAND':
        return strict((bag) => a.run(bag) === true && b.run(bag));
      case 'LOR':
        return strict((bag) => a.run(bag) === true || b.run(bag));
      case 'OR':
        return {
          type,
          run: (bag) => a.orAbsent(bag) ?? b.run(bag),
          orAbsent: (bag) => a.orAbsent(bag) ?? b.orAbsent(bag),
        };
      case 'INDEX':
        return {
          type,
          run: (bag) => entry(a.run(bag), b.run(bag)) ?? '',
          orAbsent: (bag) => {
            const [map, key] = [a.orAbsent(bag), b.orAbsent(bag)];
            return map === undefined || key === undefined ? undefined : entry(map, key);
          },
        };
      case 'conditional':
        return strict((bag) => (a.run(bag) === true ? b.run(bag) : (c?.run(bag) ?? false)));
      case 'EQ':
      case 'NEQ': {
        const equal = implemented(equality(of), 'equality', of, tree);
        return strict((bag) => equal(a.run(bag), b.run(bag)) === (tree.name === 'EQ'));
      }
      case 'ADD': {
        const add = implemented(addition(of), 'addition', of, tree);
        return strict((bag) => add(a.run(bag), b.run(bag)));
      }
      default: {
        const order = implemented(ordering(of), 'comparison', of, tree);
        const test = COMPARISONS[tree.name] ?? (() => false);
        return strict((bag) => test(order(a.run(bag), b.run(bag))));
      }
    }
  }
}

function implemented<T>(operator: T | undefined, operation: string, type: IstioType, tree: Tree): T {
  if (operator !== undefined) return operator;
  throw new CheckError(
    'EXPRESSION_NO_OVERLOAD',
    `internal compiler error -- ${operation} for type not yet implemented: ${type}`,
    tree,
  );
}

const entry = (map: Value, key: Value): Value | undefined => (map as ReadonlyMap<Value, Value>).get(key);
