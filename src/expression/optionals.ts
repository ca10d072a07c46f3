/** The methods of optional values (cel-spec, optional types). */
import type { Bag } from '../attributes/bag.ts';
import { BOOL, DYN, typeText } from '../attributes/types.ts';
import type { Node } from './parse/ast.ts';
import { Optional } from './values/dynamic.ts';
import type { Planner } from './plan.ts';
import { FREE, type Plan, joinTypes } from './planned.ts';

export function optionalMethod(
  name: string,
  target: Plan,
  arg: Plan | undefined,
  planner: Planner,
  node: Node & { kind: 'call' },
): Plan | undefined {
  const inner = target.type.kind === 'optional' ? target.type.of : DYN;
  const { run } = target;
  const valueOf = (bag: Bag): Optional | undefined => {
    const value = run(bag);
    return value instanceof Optional ? value : undefined;
  };
  if (name === 'hasValue' && arg === undefined)
    return {
      type: BOOL,
      run: (bag) => {
        const value = valueOf(bag);
        return value === undefined ? undefined : value.value !== undefined;
      },
    };
  if (name === 'value' && arg === undefined) return { type: inner, run: (bag) => valueOf(bag)?.value };
  if (arg === undefined) return undefined;
  if (name === 'orValue') {
    const type = inner === FREE ? arg.type : inner;
    const instead = planner.fit(arg, type, node.args[0] ?? node, `orValue() takes ${typeText(type)} here`);
    const fallback = instead.run;
    const { emitOr } = target;
    return {
      type,
      emit: emitOr === undefined ? undefined : (out) => emitOr(out, out.value(instead)),
      run: (bag) => {
        const value = valueOf(bag);
        return value === undefined ? undefined : value.value !== undefined ? value.value : fallback(bag);
      },
    };
  }
  if (name === 'or') {
    const type = joinTypes(target.type, arg.type) ?? target.type;
    const fallback = planner.fit(arg, type, node.args[0] ?? node, `or() takes ${typeText(type)} here`).run;
    return {
      type,
      run: (bag) => {
        const value = valueOf(bag);
        return value === undefined ? undefined : value.value !== undefined ? value : fallback(bag);
      },
    };
  }
  return undefined;
}
