/** Macros over lists and maps, `optMap`, `optFlatMap` and `cel.bind`. */
import { BOOL, DYN, INT, type Type, listOf, mapOf, optionalOf, typeText } from '../../attributes/types.ts';
import type { NodeOf } from '../parse/ast.ts';
import type { Scope } from './scope.ts';
import { type Typed, type TypedMacro, isInvalid } from './typed.ts';

type Macro = NodeOf<'macro'>;

export function checkMacro(node: Macro, scope: Scope): Typed {
  const over = scope.check(node.over);
  if (isInvalid(over)) return over;
  const { type } = over;
  if (type.kind !== 'list' && type.kind !== 'map' && type.kind !== 'dyn')
    return scope.problem(
      'EXPRESSION_TYPE',
      `${node.macro}() takes a list or a map; found ${typeText(type)}`,
      node.over,
    );
  const { variable, second } = node;
  const [key, element] = type.kind === 'list' ? [INT, type.of] : type.kind === 'map' ? [type.key, type.of] : [DYN, DYN];
  if (second !== undefined)
    return scope.withVariable(variable, key, (first) =>
      scope.withVariable(second, element, (other) => checkBody(node, over, [first, other], { key, element }, scope)),
    );
  const one = type.kind === 'map' ? key : element;
  return scope.withVariable(variable, one, (index) => checkBody(node, over, [index], { key, element: one }, scope));
}

function checkBody(
  node: Macro,
  over: Typed,
  variables: TypedMacro['variables'],
  { key, element }: { readonly key: Type; readonly element: Type },
  scope: Scope,
): Typed {
  const { macro } = node;
  const filter =
    node.filter === undefined
      ? undefined
      : scope.fit(scope.check(node.filter), BOOL, 'the filter must be bool', node.filter);
  const checked = scope.check(node.body);
  const isCondition = macro !== 'map' && macro !== 'transformMap' && macro !== 'transformMapEntry';
  const body = isCondition ? scope.fit(checked, BOOL, `${macro}() takes a condition`, node.body) : checked;
  if (macro === 'transformMapEntry' && !isInvalid(body) && body.type.kind !== 'map' && body.type.kind !== 'dyn')
    return scope.problem(
      'EXPRESSION_TYPE',
      `transformMapEntry() takes a map of new entries; found ${typeText(body.type)}`,
      node.body,
    );
  return {
    kind: 'macro',
    node,
    type: resultType(macro, body.type, key, element),
    macro,
    over,
    variables,
    filter,
    body,
  };
}

function resultType(macro: Macro['macro'], body: Type, key: Type, element: Type): Type {
  switch (macro) {
    case 'map':
      return listOf(body);
    case 'filter':
      return listOf(element);
    case 'transformMap':
      return mapOf(key, body);
    case 'transformMapEntry':
      return body;
    case 'all':
    case 'exists':
    case 'exists_one':
      return BOOL;
  }
}

export function checkOptMap(node: NodeOf<'optMap'>, scope: Scope): Typed {
  const over = scope.check(node.over);
  if (isInvalid(over)) return over;
  const { flat: isFlat } = node;
  if (over.type.kind !== 'optional' && over.type.kind !== 'dyn')
    return scope.problem(
      'EXPRESSION_TYPE',
      `${isFlat ? 'optFlatMap' : 'optMap'}() takes an optional value; found ${typeText(over.type)}`,
      node.over,
    );
  return scope.withVariable(node.variable, over.type.kind === 'optional' ? over.type.of : DYN, (variable) => {
    const body = scope.check(node.body);
    if (isFlat && !isInvalid(body) && body.type.kind !== 'optional' && body.type.kind !== 'dyn')
      return scope.problem(
        'EXPRESSION_TYPE',
        `the body of optFlatMap() must be an optional value; found ${typeText(body.type)}`,
        node.body,
      );
    return { kind: 'optMap', node, type: isFlat ? body.type : optionalOf(body.type), over, variable, body, isFlat };
  });
}

export function checkBind(node: NodeOf<'bind'>, scope: Scope): Typed {
  const value = scope.check(node.value);
  return scope.withVariable(node.variable, value.type, (variable) => {
    const body = scope.check(node.body);
    return { kind: 'bind', node, type: body.type, variable, value, body };
  });
}
