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
import { ended, type Evaluator, operator, Stack } from './stack.ts';
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
    const valueIn = (bag: Bag): Value => {
      const stack = new Stack();
      run(bag, stack);
      return stack.pop(type);
    };
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
            () => valueIn(bag),
            (value) => value,
            () => FAILED,
          ),
        why: (bag) =>
          attempt(
            () => valueIn(bag),
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

function attempt<T>(run: () => Value, done: (value: Value) => T, fail: (message: string) => T): T {
  try {
    return done(run());
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
      return ended(type, (_, stack) => stack.push(type, value));
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
      endsChain: (bag, stack) => {
        const value = bag.get(slot);
        if (value !== undefined) stack.push(type, value);
        return value !== undefined;
      },
      run: (bag, stack) => {
        const value = bag.get(slot);
        if (value === undefined) throw new EvaluationFailure(`lookup failed: '${name}'`);
        stack.push(type, value);
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

  /** The value of a function ends a chain of `|`; that of an operator does not, so the default is taken in its place. */
  #call(
    tree: Tree & { kind: 'function' },
    type: IstioType,
    of: IstioType,
    parts: readonly Evaluator[],
    { run: call }: Signature,
  ): Evaluator {
    const [a, b, c] = parts;
    if (call !== undefined || a === undefined) {
      const types = parts.map((part) => part.type).toReversed();
      return ended(type, (bag, stack) => {
        for (const { run } of parts) run(bag, stack);
        const args = types.map((one) => stack.pop(one)).toReversed();
        stack.push(type, (call as unknown as (...args: readonly Value[]) => Value)(...args));
      });
    }
    if (tree.name === 'size')
      return operator(type, (bag, stack) => {
        a.run(bag, stack);
        stack.push(type, Buffer.byteLength(stack.pop('STRING') as string));
      });
    if (b === undefined) throw new RangeError(`the operator ${tree.name} takes two arguments`);
    const binary = (operate: (a: Value, b: Value) => Value): Evaluator =>
      operator(type, (bag, stack) => {
        a.run(bag, stack);
        b.run(bag, stack);
        const right = stack.pop(b.type);
        stack.push(type, operate(stack.pop(a.type), right));
      });
    const shortCircuit = (decided: boolean): Evaluator =>
      operator(type, (bag, stack) => {
        a.run(bag, stack);
        if (stack.pop('BOOL') === decided) stack.push('BOOL', decided);
        else b.run(bag, stack);
      });
    switch (tree.name) {
      case 'LAND':
        return shortCircuit(false);
      case 'LOR':
        return shortCircuit(true);
      case 'OR': {
        const endsChain: Evaluator['endsChain'] = (bag, stack) => a.endsChain(bag, stack) || b.endsChain(bag, stack);
        const isChain = tree.args[1]?.kind === 'function' && tree.args[1].name === 'OR';
        return {
          type,
          endsChain,
          run: (bag, stack) => {
            if (isChain) endsChain(bag, stack);
            else if (!a.endsChain(bag, stack)) b.run(bag, stack);
          },
        };
      }
      case 'INDEX':
        return {
          type,
          run: binary((map, key) => entry(map, key) ?? '').run,
          endsChain: (bag, stack) => {
            if (!a.endsChain(bag, stack) || !b.endsChain(bag, stack)) return false;
            const key = stack.pop(b.type);
            const value = entry(stack.pop(a.type), key);
            if (value !== undefined) stack.push(type, value);
            return value !== undefined;
          },
        };
      case 'conditional':
        return ended(type, (bag, stack) => {
          a.run(bag, stack);
          (stack.pop('BOOL') === true ? b : c)?.run(bag, stack);
        });
      case 'EQ':
      case 'NEQ': {
        const equal = implemented(equality(of), 'equality', of, tree);
        return binary((left, right) => equal(left, right) === (tree.name === 'EQ'));
      }
      case 'ADD':
        return binary(implemented(addition(of), 'addition', of, tree));
      default: {
        const order = implemented(ordering(of), 'comparison', of, tree);
        const test = COMPARISONS[tree.name] ?? (() => false);
        return binary((left, right) => test(order(left, right)));
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
