/** Resolves calls of functions, methods and operators to overloads, by the types of the arguments. */
import { BOOL, DYN, INT, type Type, sameType, typeText } from '../../attributes/types.ts';
import { functionNames, hasFunction, overloadsOf } from '../functions/index.ts';
import { EXTREMES, EXTREMES_OF_LIST, SIZE_OF_ANY, SIZE_OF_CONTAINER } from '../functions/generic.ts';
import type { Overload } from '../functions/overload.ts';
import type { NodeOf } from '../parse/ast.ts';
import { foreignFunction, foreignSet } from './foreign-names.ts';
import { nearestOf } from './nearest.ts';
import { hyphenatedKey, isPrefix, lowered } from './names.ts';
import { checkNegation, checkOperator } from './operators.ts';
import { OPTIONAL_METHODS, checkOptionalConstructor, checkOptionalMethod } from './optionals.ts';
import type { Scope } from './scope.ts';
import { argumentFor, isAssignable, toDyn } from './types.ts';
import { type Typed, isInvalid } from './typed.ts';

type Call = NodeOf<'call'>;

export function checkCall(node: Call, scope: Scope): Typed {
  const { name, target, args } = node;
  if (target?.kind === 'name' && scope.variable(target.name) === undefined) {
    if (target.name === 'optional') return checkOptionalConstructor(node, scope);
    const dotted = `${target.name}.${name}`;
    if (dotted === 'math.greatest' || dotted === 'math.least') return checkExtreme(dotted, node, scope);
    // cidr(...).ip() is a method, ip.isCanonical(...) is a function with a dotted name.
    if (hasFunction(dotted))
      return checkOverloads(
        dotted,
        false,
        args.map((arg) => scope.check(arg)),
        node,
        scope,
      );
    const sets = foreignSet(target.name, name);
    if (sets !== undefined) return scope.problem('EXPRESSION_UNKNOWN_FUNCTION', sets, node);
    if (isMisspeltNamespace(target.name, dotted, scope)) return unknownFunction(dotted, false, node, scope);
  }
  const key = hyphenatedKey(node, scope);
  if (key !== undefined)
    return scope.problem('EXPRESSION_NO_OVERLOAD', `a name has no hyphen, and - subtracts; write ${key}`, node);
  if (target === undefined && name === 'reveal') return checkReveal(node, scope);
  const checked = (target === undefined ? args : [target, ...args]).map((arg) => scope.check(arg));
  if (checked.some(isInvalid)) return { kind: 'invalid', node, type: DYN };
  const [first, second] = checked;
  if (first !== undefined && target === undefined) {
    if (second !== undefined && checked.length === 2) {
      const left = name === 'in' ? lowered(second, first, scope.attributes) : first;
      const operator = checkOperator(node, left, second, scope);
      if (operator !== undefined) return operator;
    }
    if (name === '!') return { kind: 'not', node, type: BOOL, of: scope.fit(first, BOOL, '! takes bool') };
    if (name === '-') return checkNegation(node, first, scope);
    if (name === 'dyn' && checked.length === 1)
      return { kind: 'passthrough', node, type: DYN, of: toDyn(first), isRevealed: false };
  }
  if (first !== undefined && target !== undefined && (first.type.kind === 'optional' || first.type.kind === 'dyn')) {
    const inner = first.type.kind === 'optional' ? first.type.of : DYN;
    const method = checkOptionalMethod(node, first, inner, second, scope);
    if (method !== undefined) return method;
  }
  if (name === 'size' && checked.length === 1 && (first?.type.kind === 'list' || first?.type.kind === 'map'))
    return { kind: 'call', node, type: INT, overload: SIZE_OF_CONTAINER, args: checked };
  if (name === 'size' && checked.length === 1 && first?.type.kind === 'dyn')
    return { kind: 'call', node, type: INT, overload: SIZE_OF_ANY, args: checked };
  return checkOverloads(name, target !== undefined, checked, node, scope);
}

/** `json` of `json.decod(x)`, or `jsn` of `jsn.decode(x)`: nothing else has that name. */
function isMisspeltNamespace(name: string, dotted: string, { attributes }: Scope): boolean {
  if (attributes.slotOf(name) !== undefined || isPrefix(name, attributes)) return false;
  const functions = functionNames();
  return functions.some((one) => one.startsWith(`${name}.`)) || nearestOf(dotted, functions).length > 0;
}

/** The value of its argument, which may then be sent even if it contains a secret (`Read.exposed`). */
function checkReveal(node: Call, scope: Scope): Typed {
  const [arg] = node.args;
  if (arg === undefined || node.args.length > 1)
    return scope.problem('EXPRESSION_NO_OVERLOAD', 'reveal() takes one value, such as reveal(request.api_key)', node);
  const of = scope.check(arg);
  return isInvalid(of) ? of : { kind: 'passthrough', node, type: of.type, of, isRevealed: true };
}

/** math.greatest() and math.least(): any number of numbers, or a list of them (cel-go, math extension). */
function checkExtreme(name: 'math.greatest' | 'math.least', node: Call, scope: Scope): Typed {
  const args = node.args.map((arg) => scope.check(arg));
  if (args.some(isInvalid)) return { kind: 'invalid', node, type: DYN };
  const [first] = args;
  const wrong =
    args.length === 1 && first?.type.kind === 'list' ? undefined : args.find(({ type }) => !NUMBERS.has(type.kind));
  if (first === undefined || wrong !== undefined)
    return scope.problem(
      'EXPRESSION_NO_OVERLOAD',
      `${name}() takes numbers, or a list of them${wrong === undefined ? '' : `; found ${typeText(wrong.type)}`}`,
      wrong?.node ?? node,
    );
  if (args.length === 1 && (first.type.kind === 'list' || first.type.kind === 'dyn'))
    return { kind: 'call', node, type: DYN, overload: EXTREMES_OF_LIST[name], args: [toDyn(first)] };
  const isAlike = args.every(({ type }) => type.kind === first.type.kind && type.kind !== 'dyn');
  return {
    kind: 'call',
    node,
    type: isAlike ? first.type : DYN,
    overload: EXTREMES[name],
    args: isAlike ? args : args.map(toDyn),
  };
}

const NUMBERS: ReadonlySet<Type['kind']> = new Set(['int', 'uint', 'double', 'dyn']);

function checkOverloads(name: string, isMethod: boolean, args: readonly Typed[], node: Call, scope: Scope): Typed {
  if (args.some(isInvalid)) return { kind: 'invalid', node, type: DYN };
  const named = overloadsOf(name, isMethod);
  if (named.length === 0) return unknownFunction(name, isMethod, node, scope);
  const fitting = named.filter(
    ({ params }) =>
      params.length === args.length && params.every((param, at) => isAssignable(args[at]?.type ?? DYN, param)),
  );
  const [first] = fitting;
  if (first === undefined) return noOverload(name, isMethod, named, args, node, scope);
  if (fitting.length > 1) {
    const type = fitting.every(({ result }) => sameType(result, first.result)) ? first.result : DYN;
    return { kind: 'dispatch', node, type, overloads: fitting, args: args.map(toDyn) };
  }
  return {
    kind: 'call',
    node,
    type: first.result,
    overload: first,
    args: args.map((arg, at) => argumentFor(first.params[at] ?? DYN, arg)),
  };
}

function noOverload(
  name: string,
  isMethod: boolean,
  named: readonly Overload[],
  args: readonly Typed[],
  node: Call,
  scope: Scope,
): Typed {
  const shown = (types: readonly Type[]): string => {
    const [first = '', ...rest] = types.map(typeText);
    return isMethod ? `${first}.${name}(${rest.join(', ')})` : `${name}(${types.map(typeText).join(', ')})`;
  };
  const known = new Set(named.map(({ params }) => shown(params)));
  return scope.problem(
    'EXPRESSION_NO_OVERLOAD',
    `no matching overload for ${shown(args.map(({ type }) => type))}; known are ${[...known].slice(0, 4).join(', ')}`,
    node,
  );
}

/** Of a namespace, in a message. */
const MAX_MEMBERS = 6;

function unknownFunction(name: string, isMethod: boolean, node: Call, scope: Scope): Typed {
  if (name === 'match' && !isMethod)
    return scope.problem(
      'EXPRESSION_UNKNOWN_FUNCTION',
      'unknown function match(); instead of match(x, "a*") or match(x, "*a") write x.startsWith("a") or x.endsWith("a")',
      node,
    );
  if (isMethod && OPTIONAL_METHODS.has(name))
    return scope.problem(
      'EXPRESSION_UNKNOWN_FUNCTION',
      `${name}() is a method of optional values, such as a.?b or map[?"key"]`,
      node,
    );
  const foreign = foreignFunction(name);
  if (foreign !== undefined)
    return scope.problem('EXPRESSION_UNKNOWN_FUNCTION', `unknown function ${name}(); ${foreign}`, node);
  const namespace = name.slice(0, name.lastIndexOf('.') + 1);
  const near = nearestOf(name, functionNames());
  const members = namespace === '' ? [] : functionNames().filter((one) => one.startsWith(namespace));
  const hint =
    overloadsOf(name, !isMethod).length > 0
      ? `; it is called ${isMethod ? `${name}(x)` : `x.${name}()`}`
      : near.length > 0
        ? `; did you mean ${near.join(' or ')}?`
        : members.length > 0
          ? `; known are ${members.slice(0, MAX_MEMBERS).join(', ')}${members.length > MAX_MEMBERS ? ' ...' : ''}`
          : '';
  return scope.problem('EXPRESSION_UNKNOWN_FUNCTION', `unknown function ${name}()${hint}`, node);
}
