/** Plans of what has variables: macros over lists and maps, `optMap`, `cel.bind`. */
import { BOOL, DYN, INT, type Type, listOf, mapOf, optionalOf, typeText } from '../attributes/types.ts';
import type { Node } from './parse/ast.ts';
import { NONE, Optional, type Val } from './values/dynamic.ts';
import { type Items, itemsOf, macroRun, pairsOf } from './macros.ts';
import type { Planner } from './plan.ts';
import { type Plan, type Run, WRONG } from './planned.ts';

type Setter = (value: Val | undefined) => void;
type MacroNode = Node & { kind: 'macro' };

export function planMacro(node: MacroNode, planner: Planner): Plan {
  const over = planner.plan(node.over);
  if (over === WRONG) return WRONG;
  const { type } = over;
  if (type.kind !== 'list' && type.kind !== 'map' && type.kind !== 'dyn')
    return planner.problem(
      'EXPRESSION_TYPE',
      `${node.macro}() goes over a list or the keys of a map, this is ${typeText(type)}`,
      node.over,
    );
  const { variable, second } = node;
  const [key, element] = type.kind === 'list' ? [INT, type.of] : type.kind === 'map' ? [type.key, type.of] : [DYN, DYN];
  if (second !== undefined) {
    return planner.withVariable(variable, key, (setKey) =>
      planner.withVariable(second, element, (setElement) =>
        planner.looped(() =>
          bodyOf(
            node,
            { element, key, items: pairsOf(over), bind: pairSetter(setKey, setElement), keyOfItem: firstOf },
            planner,
          ),
        ),
      ),
    );
  }
  const one = type.kind === 'map' ? key : element;
  return planner.withVariable(variable, one, (set) =>
    planner.looped(() =>
      bodyOf(node, { element: one, key, items: itemsOf(over), bind: set, keyOfItem: itself }, planner),
    ),
  );
}

interface Going<T> {
  readonly element: Type;
  readonly key: Type;
  readonly items: Items<T>;
  readonly bind: (item: T) => void;
  readonly keyOfItem: (item: T) => Val;
}

function bodyOf<T>(node: MacroNode, { element, key, items, bind, keyOfItem }: Going<T>, planner: Planner): Plan {
  const filter =
    node.filter === undefined
      ? undefined
      : planner.fit(planner.plan(node.filter), BOOL, node.filter, 'the filter is bool');
  const planned = planner.plan(node.body);
  const isMade = node.macro === 'map' || node.macro === 'transformMap' || node.macro === 'transformMapEntry';
  const body = isMade ? planned : planner.fit(planned, BOOL, node.body, `${node.macro}() takes a condition`);
  if (node.macro === 'transformMapEntry' && planned !== WRONG && planned.type.kind !== 'map')
    return planner.problem(
      'EXPRESSION_TYPE',
      `transformMapEntry() takes a map of new entries, this is ${typeText(planned.type)}`,
      node.body,
    );
  const run = macroRun(node.macro, items, body.run, filter?.run, bind, keyOfItem);
  switch (node.macro) {
    case 'map':
      return { type: listOf(body.type), run };
    case 'filter':
      return { type: listOf(element), run };
    case 'transformMap':
      return { type: mapOf(key, body.type), run };
    case 'transformMapEntry':
      return { type: body.type, run };
    case 'all':
    case 'exists':
    case 'exists_one':
      return { type: BOOL, run };
  }
}

export function planOptMap(node: Node & { kind: 'optMap' }, planner: Planner): Plan {
  const over = planner.plan(node.over);
  if (over === WRONG) return WRONG;
  if (over.type.kind !== 'optional' && over.type.kind !== 'dyn')
    return planner.problem(
      'EXPRESSION_TYPE',
      `${node.flat ? 'optFlatMap' : 'optMap'}() goes with optional values, this is ${typeText(over.type)}`,
      node.over,
    );
  return planner.withVariable(node.variable, over.type.kind === 'optional' ? over.type.of : DYN, (set) => {
    const body = planner.plan(node.body);
    if (node.flat && body !== WRONG && body.type.kind !== 'optional' && body.type.kind !== 'dyn')
      return planner.problem(
        'EXPRESSION_TYPE',
        `optFlatMap() takes an optional value, this is ${typeText(body.type)}`,
        node.body,
      );
    return { type: node.flat ? body.type : optionalOf(body.type), run: optMapRun(over.run, set, body.run, node.flat) };
  });
}

export function planBind(node: Node & { kind: 'bind' }, planner: Planner): Plan {
  const { type, run } = planner.absorbed(() => planner.plan(node.value));
  return planner.withVariable(node.variable, type, (set) => {
    const body = planner.plan(node.body);
    return { type: body.type, run: bindRun(run, set, body.run) };
  });
}

const pairSetter =
  (setKey: Setter, setElement: Setter) =>
  ([key, element]: readonly [Val, Val]): void => {
    setKey(key);
    setElement(element);
  };
const itself = (item: Val): Val => item;
const firstOf = ([one]: readonly [Val, Val]): Val => one;

function optMapRun(over: Run, set: Setter, body: Run, isFlat: boolean): Run {
  return (bag) => {
    const value = over(bag);
    if (!(value instanceof Optional)) return undefined;
    if (value.value === undefined) return NONE;
    set(value.value);
    const made = body(bag);
    return made === undefined || isFlat ? made : new Optional(made);
  };
}

/** Where the value failed, only who reads it fails. */
function bindRun(value: Run, set: Setter, body: Run): Run {
  return (bag) => {
    set(value(bag));
    return body(bag);
  };
}
