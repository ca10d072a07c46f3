/** Constructors (`optional.of(x)`) and methods of optional values (cel-spec, optional types). */
import { BOOL, type Type, optionalOf, typeText } from '../../attributes/types.ts';
import { HAS_VALUE, OPTIONAL_OF, OPTIONAL_OF_NON_ZERO, VALUE } from '../functions/generic.ts';
import type { NodeOf } from '../parse/ast.ts';
import { NONE } from '../values/dynamic.ts';
import type { Scope } from './scope.ts';
import { FREE, convertTo, joinTypes } from './types.ts';
import { type Typed, isInvalid } from './typed.ts';

export function checkOptionalConstructor(node: NodeOf<'call'>, scope: Scope): Typed {
  const { name, args } = node;
  const [arg] = args;
  if (name === 'none' && arg === undefined) return { kind: 'constant', node, type: optionalOf(FREE), value: NONE };
  const of = arg === undefined ? undefined : scope.check(arg);
  if (of === undefined || (name !== 'of' && name !== 'ofNonZeroValue'))
    return scope.problem(
      'EXPRESSION_UNKNOWN_FUNCTION',
      `no matching overload for optional.${name}() with ${args.length} arguments; ` +
        'known are optional.of(x), optional.ofNonZeroValue(x), optional.none()',
      node,
    );
  if (isInvalid(of)) return of;
  const overload = name === 'of' ? OPTIONAL_OF : OPTIONAL_OF_NON_ZERO;
  return { kind: 'call', node, type: optionalOf(of.type), overload, args: [of] };
}

export const OPTIONAL_METHODS: ReadonlySet<string> = new Set([
  'hasValue',
  'value',
  'or',
  'orValue',
  'optMap',
  'optFlatMap',
]);

/** `undefined` for a name that is not a method of optional values. */
export function checkOptionalMethod(
  node: NodeOf<'call'>,
  target: Typed,
  inner: Type,
  arg: Typed | undefined,
  scope: Scope,
): Typed | undefined {
  const { name } = node;
  if (arg === undefined) {
    if (name === 'hasValue') return { kind: 'call', node, type: BOOL, overload: HAS_VALUE, args: [target] };
    return name === 'value' ? { kind: 'call', node, type: inner, overload: VALUE, args: [target] } : undefined;
  }
  if (name !== 'orValue' && name !== 'or') return undefined;
  const isOptional = name === 'or';
  const type = isOptional ? (joinTypes(target.type, arg.type) ?? target.type) : inner === FREE ? arg.type : inner;
  const instead = scope.fit(arg, type, `${name}() takes ${typeText(type)}`);
  return { kind: 'orElse', node, type, of: isOptional ? convertTo(target, type) : target, instead, isOptional };
}
