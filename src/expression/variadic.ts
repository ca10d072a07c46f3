/** math.greatest() and math.least(): of any number of numbers, or of a list of them (cel-go, math extension). */
import { DYN, type Type, typeText } from '../attributes/types.ts';
import type { Node } from './parse/ast.ts';
import { type Val, compareDyn } from './values/dynamic.ts';
import type { Planner } from './plan.ts';
import { type Plan, WRONG, boxed, constantOf } from './planned.ts';

const NUMBERS: ReadonlySet<Type['kind']> = new Set(['int', 'uint', 'double', 'dyn']);

export function extremeOf(
  name: 'greatest' | 'least',
  plans: readonly Plan[],
  planner: Planner,
  node: Node & { kind: 'call' },
): Plan {
  if (plans.includes(WRONG)) return WRONG;
  const [first] = plans;
  const sign = name === 'greatest' ? 1 : -1;
  if (first === undefined)
    return planner.problem('EXPRESSION_NO_OVERLOAD', `math.${name}() takes numbers, or a list of them`, node);
  if (plans.length === 1 && (first.type.kind === 'list' || first.type.kind === 'dyn')) {
    const list = boxed(first).run;
    return {
      type: DYN,
      run: (bag) => {
        const value = list(bag);
        return Array.isArray(value)
          ? extreme(value as readonly Val[], sign)
          : value === undefined || typeof value === 'string'
            ? undefined
            : extreme([value], sign);
      },
    };
  }
  const wrong = plans.findIndex(({ type }) => !NUMBERS.has(type.kind));
  if (wrong >= 0)
    return planner.problem(
      'EXPRESSION_NO_OVERLOAD',
      `math.${name}() takes numbers, or a list of them; this is ${typeText(plans[wrong]?.type ?? DYN)}`,
      node.args[wrong] ?? node,
    );
  const isAlike = plans.every(({ type }) => type.kind === first.type.kind && type.kind !== 'dyn');
  const runs = (isAlike ? plans : plans.map(boxed)).map(({ run }) => run);
  return constantOf(plans, {
    type: isAlike ? first.type : DYN,
    run: (bag) => {
      const values: Val[] = [];
      for (const run of runs) {
        const value = run(bag);
        if (value === undefined) return undefined;
        values.push(value);
      }
      return extreme(values, sign);
    },
  });
}

/** The first of those that are greatest (`sign` 1) or least; nothing where one is no number, or there is none. */
function extreme(values: readonly Val[], sign: 1 | -1): Val | undefined {
  let [found] = values;
  if (found === undefined || compareDyn(found, 0n) === undefined) return undefined;
  for (const value of values) {
    const order = compareDyn(value, found);
    if (order === undefined) return undefined;
    if (order * sign > 0) found = value;
  }
  return found;
}
