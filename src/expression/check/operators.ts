/** Binary operators and negation, by the types of both sides (cel-spec, "Operators"). */
import { BOOL, DYN, type Type, listOf, sameType, typeText } from '../../attributes/types.ts';
import {
  ARITHMETIC,
  COMPARE_DYN,
  COMPARE_NUMBERS,
  COMPARE_TEXT,
  type Comparison,
  DYN_ARITHMETIC,
  EQUAL_DYN,
  EQUAL_NUMBERS,
  EQUAL_OBJECTS,
  type Equality,
  IN_DYN,
  IN_LIST,
  IN_LIST_OF_SAME,
  IN_MAP,
  JOIN_LISTS,
  NEGATION,
} from '../functions/operators.ts';
import type { Overload } from '../functions/overload.ts';
import type { NodeOf } from '../parse/ast.ts';
import type { Scope } from './scope.ts';
import { convertTo, joinTypes, toDyn } from './types.ts';
import type { Typed } from './typed.ts';

type Kinds = ReadonlySet<Type['kind']>;
const NUMERIC: Kinds = new Set(['int', 'uint', 'double']);
/** Types whose equality is `===`. */
const IDENTICAL: Kinds = new Set(['bool', 'string', 'null']);
/** The equality of two values of one of these types is `===` as well, thanks to their canonical form. */
const WHOLE: Kinds = new Set(['int', 'uint']);
const OBJECTS: Kinds = new Set(['bytes', 'timestamp', 'duration', 'ip', 'cidr', 'type']);
const ORDERED: Kinds = new Set(['bool', 'int', 'uint', 'double', 'string', 'bytes', 'timestamp', 'duration']);

type Call = NodeOf<'call'>;

/** `undefined` for a name that is not a binary operator. */
export function checkOperator(node: Call, left: Typed, right: Typed, scope: Scope): Typed | undefined {
  switch (node.name) {
    case '==':
    case '!=':
      return equality(node, node.name, left, right, scope);
    case '<':
    case '<=':
    case '>':
    case '>=':
      return ordering(node, node.name, left, right, scope);
    case 'in':
      return membership(node, left, right, scope);
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return arithmetic(node, left, right, scope);
    default:
      return undefined;
  }
}

const call = (node: Call, overload: Overload, left: Typed, right: Typed, type = overload.result): Typed => ({
  kind: 'call',
  node,
  type,
  overload,
  args: [left, right],
});
const dynCall = (node: Call, overload: Overload, left: Typed, right: Typed): Typed =>
  call(node, overload, toDyn(left), toDyn(right));

function noOverload(node: Call, left: Type, right: Type, scope: Scope, hint = hintFor(left.kind, right.kind)): Typed {
  return scope.problem(
    'EXPRESSION_NO_OVERLOAD',
    `no matching overload for ${typeText(left)} ${node.name} ${typeText(right)}${hint}`,
    node,
  );
}

function hintFor(...kinds: readonly Type['kind'][]): string {
  if (kinds.includes('string')) {
    if (kinds.includes('ip')) return '; write ip("192.0.2.1")';
    if (kinds.includes('duration')) return '; write duration("1s")';
    if (kinds.includes('timestamp')) return '; write timestamp("2026-01-31T12:00:00Z")';
    if (kinds.includes('int') || kinds.includes('double')) return '; convert one of them: int(x) or string(x)';
  }
  return kinds.includes('optional') ? '; get the value with .orValue(...)' : '';
}

function equality(node: Call, sign: Equality, left: Typed, right: Typed, scope: Scope): Typed {
  const [a, b] = [left.type.kind, right.type.kind];
  if (a === b && IDENTICAL.has(a))
    return { kind: 'identical', node, type: BOOL, left, right, isNegated: sign === '!=' };
  if (NUMERIC.has(a) && NUMERIC.has(b)) return call(node, EQUAL_NUMBERS[sign], left, right);
  if (a === b && OBJECTS.has(a)) return call(node, EQUAL_OBJECTS[sign], left, right);
  if (a === b || a === 'dyn' || b === 'dyn' || a === 'null' || b === 'null')
    return dynCall(node, EQUAL_DYN[sign], left, right);
  const inList = isListOf(left.type, right.type) || isListOf(right.type, left.type);
  return noOverload(node, left.type, right.type, scope, inList ? '; write VALUE in LIST' : undefined);
}

const isListOf = (list: Type, item: Type): boolean => list.kind === 'list' && sameType(list.of, item);

function membership(node: Call, item: Typed, container: Typed, scope: Scope): Typed {
  const { type } = container;
  const { kind } = item.type;
  const maybe = (other: Type): boolean =>
    kind === 'dyn' || other.kind === 'dyn' || kind === other.kind || (NUMERIC.has(kind) && NUMERIC.has(other.kind));
  if (type.kind === 'list') {
    if ((IDENTICAL.has(kind) || WHOLE.has(kind)) && sameType(item.type, type.of))
      return call(node, IN_LIST_OF_SAME, item, container);
    return maybe(type.of)
      ? dynCall(node, IN_LIST, item, container)
      : noOverload(node, item.type, type, scope, hintFor(kind, type.of.kind));
  }
  if (type.kind === 'map')
    return maybe(type.key) ? call(node, IN_MAP, item, container) : noOverload(node, item.type, type, scope, '');
  if (type.kind === 'cidr' || kind === 'ip')
    return scope.problem(
      'EXPRESSION_NO_OVERLOAD',
      'in takes a list or a map; write cidr("10.0.0.0/8").containsIP(x)',
      node,
    );
  return type.kind === 'dyn' ? dynCall(node, IN_DYN, item, container) : noOverload(node, item.type, type, scope, '');
}

function ordering(node: Call, sign: Comparison, left: Typed, right: Typed, scope: Scope): Typed {
  const [a, b] = [left.type.kind, right.type.kind];
  if (NUMERIC.has(a) && NUMERIC.has(b)) return call(node, COMPARE_NUMBERS[sign], left, right);
  if (a === 'string' && b === 'string') return call(node, COMPARE_TEXT[sign], left, right);
  const isOrdered = (ORDERED.has(a) || a === 'dyn') && (ORDERED.has(b) || b === 'dyn');
  if (isOrdered && (a === b || a === 'dyn' || b === 'dyn')) return dynCall(node, COMPARE_DYN[sign], left, right);
  return noOverload(node, left.type, right.type, scope, a === 'dyn' || b === 'dyn' ? '' : undefined);
}

function arithmetic(node: Call, left: Typed, right: Typed, scope: Scope): Typed {
  const [a, b] = [left.type.kind, right.type.kind];
  const overloads = ARITHMETIC.get(node.name) ?? [];
  const exact = overloads.find(({ params: [one, other] }) => one?.kind === a && other?.kind === b);
  if (exact !== undefined) return call(node, exact, left, right);
  if (node.name === '+' && a === 'list' && b === 'list') {
    const type = joinTypes(left.type, right.type) ?? listOf(DYN);
    return call(node, JOIN_LISTS, convertTo(left, type), convertTo(right, type), type);
  }
  const isPossible =
    (a === 'dyn' || b === 'dyn') &&
    ((node.name === '+' && isMaybeList(a) && isMaybeList(b)) ||
      overloads.some(
        ({ params: [one, other] }) => (a === 'dyn' || one?.kind === a) && (b === 'dyn' || other?.kind === b),
      ));
  const dyn = DYN_ARITHMETIC.get(node.name);
  return isPossible && dyn !== undefined
    ? dynCall(node, dyn, left, right)
    : noOverload(node, left.type, right.type, scope);
}

const isMaybeList = (kind: Type['kind']): boolean => kind === 'list' || kind === 'dyn';

/** `-x`. */
export function checkNegation(node: Call, of: Typed, scope: Scope): Typed {
  const overload = NEGATION.get(of.type.kind);
  if (overload === undefined)
    return scope.problem('EXPRESSION_NO_OVERLOAD', `no matching overload for -${typeText(of.type)}`, node);
  return { kind: 'call', node, type: overload.result, overload, args: [of] };
}
