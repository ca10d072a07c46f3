/**
 * Expressions in Mixer's language ("CEXL"), for policies that come from there.
 * **In**: text, attributes, the type it must have. **Out**: an expression over a bag, with Mixer's meaning of what is absent.
 * **Fails**: with a problem in Mixer's words; like Mixer's checker, with the first one.
 */
import type { Attributes } from '../../attributes/attributes.ts';
import type { Bag } from '../../attributes/bag.ts';
import type { Ip } from '../../attributes/network.ts';
import type { Type } from '../../attributes/types.ts';
import type { Timestamp, Value } from '../../attributes/values.ts';
import { FAILED, type Problem } from '../compiled.ts';
import { compareText, equalObjects } from '../dynamic.ts';
import { addInt, canonicalInt, type Int } from '../integers.ts';
import { SyntaxProblem } from '../lexer.ts';
import { EvaluationFailure, type Parameter, SIGNATURES, type Signature } from './functions.ts';
import { equalDns, equalEmail, equalUri } from './names.ts';
import { parseIstio } from './parse.ts';
import { type IstioType, type Tree, treeText } from './tree.ts';

export interface IstioOptions {
  /** Of attributes whose type CEL does not have: DNS_NAME, EMAIL_ADDRESS, URI; they are held as text. */
  readonly types?: ReadonlyMap<string, IstioType>;
  readonly expect?: IstioType | undefined;
}

export interface IstioCompiled {
  readonly type: IstioType;
  evaluate(bag: Bag): Value | typeof FAILED;
  /** Why it fails on this bag, in Mixer's words; empty text where it does not. */
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

/** Istio's name of a type; nothing where it has none (uint, bytes, lists ...). */
export function istioTypeOf(type: Type): IstioType | undefined {
  return type.kind === 'map'
    ? type.key.kind === 'string' && type.of.kind === 'string'
      ? 'STRING_MAP'
      : undefined
    : TYPES[type.kind];
}

type Run = (bag: Bag) => Value;
/** `orAbsent`: under `|`, where what is absent is no failure. */
interface Part {
  readonly type: IstioType;
  readonly run: Run;
  readonly orAbsent: (bag: Bag) => Value | undefined;
}

class CheckProblem extends Error {
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
    const { type, run } = new Compiler(attributes, options).part(tree);
    if (options.expect !== undefined && type !== options.expect)
      throw new CheckProblem(
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
    if (error instanceof SyntaxProblem) return failed('EXPRESSION_SYNTAX', error.message, error.start, error.end);
    if (error instanceof CheckProblem) return failed(error.code, error.message, error.tree.start, error.tree.end);
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
        : `a fault of Sluice itself (${error instanceof Error ? error.name : typeof error})`,
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

  part(tree: Tree): Part {
    if (tree.kind === 'constant') {
      const { type, value } = tree;
      return { type, run: () => value, orAbsent: () => value };
    }
    return tree.kind === 'variable' ? this.#variable(tree) : this.#function(tree);
  }

  #variable(tree: Tree & { kind: 'variable' }): Part {
    const { name } = tree;
    const slot = this.#attributes.slotOf(name);
    if (slot === undefined) throw new CheckProblem('EXPRESSION_UNKNOWN_ATTRIBUTE', `unknown attribute ${name}`, tree);
    const type = this.#options.types?.get(name) ?? istioTypeOf(this.#attributes.at(slot).type);
    if (type === undefined)
      throw new CheckProblem(
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

  #function(tree: Tree & { kind: 'function' }): Part {
    const { name, target, args } = tree;
    const signature = SIGNATURES.get(name);
    if (signature === undefined)
      throw new CheckProblem('EXPRESSION_UNKNOWN_FUNCTION', `unknown function: ${name}`, tree);
    if (signature.target !== undefined && target === undefined)
      throw new CheckProblem('EXPRESSION_NO_OVERLOAD', `invoking instance method without an instance: ${name}`, tree);
    if (signature.target === undefined && target !== undefined)
      throw new CheckProblem('EXPRESSION_NO_OVERLOAD', `invoking regular function on instance method: ${name}`, tree);
    const on = target === undefined ? undefined : this.part(target);
    if (on !== undefined && on.type !== signature.target)
      throw new CheckProblem(
        'EXPRESSION_NO_OVERLOAD',
        `${treeText(tree)} target typeError got ${on.type}, expected ${String(signature.target)}`,
        tree,
      );
    const { params } = signature;
    if (args.length !== params.length)
      throw new CheckProblem(
        'EXPRESSION_NO_OVERLOAD',
        `${treeText(tree)} arity mismatch. Got ${args.length} arg(s), expected ${params.length} arg(s)`,
        tree,
      );
    let any: IstioType | undefined;
    const parts = args.map((arg, at): Part => {
      const part = this.part(arg);
      const param: Parameter = params[at] ?? 'T';
      if (param === 'T') any ??= part.type;
      const wanted = param === 'T' ? any : param;
      if (part.type !== wanted)
        throw new CheckProblem(
          'EXPRESSION_NO_OVERLOAD',
          `${treeText(tree)} arg ${at + 1} (${treeText(arg)}) typeError got ${part.type}, expected ${String(wanted)}`,
          arg,
        );
      return part;
    });
    const type = signature.result === 'T' ? (any ?? 'STRING') : signature.result;
    return this.#made(tree, type, any ?? 'STRING', on === undefined ? parts : [on, ...parts], signature);
  }

  /** A function's value is never absent: under `|` its arguments are evaluated as anywhere, and its value ends the chain. */
  #made(
    tree: Tree & { kind: 'function' },
    type: IstioType,
    of: IstioType,
    parts: readonly Part[],
    { run: call }: Signature,
  ): Part {
    const strict = (run: Run): Part => ({ type, run, orAbsent: run });
    const [a, b, c] = parts;
    if (a === undefined || call !== undefined)
      return strict((bag) =>
        (call as unknown as (...args: readonly Value[]) => Value)(...parts.map(({ run }) => run(bag))),
      );
    if (b === undefined) throw new RangeError(`${tree.name} is known to the compiler and has two arguments`);
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
        const equal = equality(of, tree);
        return strict((bag) => equal(a.run(bag), b.run(bag)) === (tree.name === 'EQ'));
      }
      case 'ADD': {
        const add = addition(of, tree);
        return strict((bag) => add(a.run(bag), b.run(bag)));
      }
      default: {
        const order = ordering(of, tree);
        const test = TESTS[tree.name] ?? (() => false);
        return strict((bag) => test(order(a.run(bag), b.run(bag))));
      }
    }
  }
}

const entry = (map: Value, key: Value): Value | undefined => (map as ReadonlyMap<Value, Value>).get(key);

const TESTS: Readonly<Record<string, (order: number) => boolean>> = {
  LT: (order) => order < 0,
  LEQ: (order) => order <= 0,
  GT: (order) => order > 0,
  GEQ: (order) => order >= 0,
};

const internal = (what: string, type: IstioType, tree: Tree): CheckProblem =>
  new CheckProblem(
    'EXPRESSION_NO_OVERLOAD',
    `internal compiler error -- ${what} for type not yet implemented: ${type}`,
    tree,
  );

function equality(type: IstioType, tree: Tree): (a: Value, b: Value) => boolean {
  switch (type) {
    case 'STRING':
    case 'BOOL':
    case 'INT64':
    case 'DOUBLE':
      return (a, b) => a === b;
    case 'IP_ADDRESS':
      return (a, b) => (a as Ip).equals(b as Ip);
    case 'TIMESTAMP':
      return (a, b) => equalObjects(a as object, b as object);
    case 'DNS_NAME':
      return (a, b) => equalDns(a as string, b as string);
    case 'EMAIL_ADDRESS':
      return (a, b) => equalEmail(a as string, b as string);
    case 'URI':
      return (a, b) => equalUri(a as string, b as string);
    case 'DURATION':
    case 'STRING_MAP':
      throw internal('equality', type, tree);
  }
}

/** NaN is in no order: every comparison is false. */
function ordering(type: IstioType, tree: Tree): (a: Value, b: Value) => number {
  switch (type) {
    case 'STRING':
      return (a, b) => compareText(a as string, b as string);
    case 'INT64':
    case 'DOUBLE':
      return (a, b) => ((a as Int) < (b as Int) ? -1 : (a as Int) > (b as Int) ? 1 : a === b ? 0 : Number.NaN);
    case 'TIMESTAMP':
      return (a, b) =>
        (a as Timestamp).seconds - (b as Timestamp).seconds || (a as Timestamp).nanos - (b as Timestamp).nanos;
    default:
      throw internal('comparison', type, tree);
  }
}

/** int64 wraps around, as Go's does. */
function addition(type: IstioType, tree: Tree): (a: Value, b: Value) => Value {
  switch (type) {
    case 'STRING':
      return (a, b) => (a as string) + (b as string);
    case 'DOUBLE':
      return (a, b) => (a as number) + (b as number);
    case 'INT64':
      return (a, b) =>
        addInt(a as Int, b as Int) ?? canonicalInt(BigInt.asIntN(64, BigInt(a as Int) + BigInt(b as Int)));
    default:
      throw internal('addition', type, tree);
  }
}
