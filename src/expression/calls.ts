/** Calling an overload: directly where the types say which, by the values of each evaluation where they do not. */
import { DYN, type Type, sameType } from '../attributes/types.ts';
import { type Val, boxer, unbox } from './values/dynamic.ts';
import type { Overload } from './functions/index.ts';
import { emitBinary, emitUnary } from './generate.ts';
import { type Plan, boxed, heldAs, isPartlyDyn, joinTypes, WRONG } from './planned.ts';

/** Whether a value of the type may be given where `param` is expected. */
export const mayBe = (type: Type, param: Type): boolean =>
  param.kind === 'dyn' ||
  isPartlyDyn(type) ||
  sameType(type, param) ||
  (isPartlyDyn(param) && joinTypes(type, param) !== undefined);

export function direct(overload: Overload, plans: readonly Plan[]): Plan {
  const adaptedPlans = plans.map((plan, index) => adapted(plan, overload.params[index] ?? DYN));
  const runs = adaptedPlans.map(({ run }) => run);
  const rest = plans.slice(1).map(({ constant }) => constant);
  const [a, b] = runs;
  const type = overload.result;
  const special =
    rest.length > 0 && rest.every((value) => value !== undefined) ? overload.specialise?.(rest) : undefined;
  if (special !== undefined && a !== undefined) {
    const call = special as (first: Val) => Val | undefined;
    return {
      type,
      emit: emitUnary(adaptedPlans[0] ?? WRONG, (x, out) => `${out.pooled(call)}(${x})`),
      run: (bag) => {
        const x = a(bag);
        return x === undefined ? undefined : call(x);
      },
    };
  }
  if (runs.length === 1 && a !== undefined) {
    const call = overload.run as unknown as (x: Val) => Val | undefined;
    return {
      type,
      emit: emitUnary(adaptedPlans[0] ?? WRONG, (x, out) => overload.code?.(x) ?? `${out.pooled(call)}(${x})`),
      run: (bag) => {
        const x = a(bag);
        return x === undefined ? undefined : call(x);
      },
    };
  }
  if (runs.length === 2 && a !== undefined && b !== undefined) {
    const call = overload.run as unknown as (x: Val, y: Val) => Val | undefined;
    const [one, other] = adaptedPlans;
    const emit =
      one === undefined || other === undefined
        ? undefined
        : emitBinary(one, other, (x, y, out) => codeOf(overload, other)?.(x, y) ?? `${out.pooled(call)}(${x}, ${y})`);
    return {
      type,
      emit,
      run: (bag) => {
        const x = a(bag);
        const y = b(bag);
        return x === undefined || y === undefined ? undefined : call(x, y);
      },
    };
  }
  const call = overload.run as unknown as (...args: readonly Val[]) => Val | undefined;
  return {
    type,
    run: (bag) => {
      const args: Val[] = [];
      for (const run of runs) {
        const value = run(bag);
        if (value === undefined) return undefined;
        args.push(value);
      }
      return call(...args);
    },
  };
}

const codeOf = ({ code, constantCode }: Overload, other: Plan): Overload['code'] =>
  other.constant === undefined ? code : (constantCode ?? code);

/** Of several overloads the one that the values of this evaluation fit. */
export function dispatched(overloads: readonly Overload[], plans: readonly Plan[]): Plan {
  const runs = plans.map((plan) => boxed(plan).run);
  const [first] = overloads;
  const type =
    first !== undefined && overloads.every(({ result }) => sameType(result, first.result)) ? first.result : DYN;
  const boxers = overloads.map(({ result }) => (type.kind === 'dyn' ? boxer(result) : undefined));
  return {
    type,
    run: (bag) => {
      const given: Val[] = [];
      for (const run of runs) {
        const value = run(bag);
        if (value === undefined) return undefined;
        given.push(value);
      }
      for (const [index, { params, run }] of overloads.entries()) {
        const args = given.map((value, at) => unbox(params[at] ?? DYN, value));
        if (args.includes(undefined)) continue;
        const value = (run as unknown as (...values: readonly (Val | undefined)[]) => Val | undefined)(...args);
        return value === undefined ? undefined : (boxers[index]?.(value) ?? value);
      }
      return undefined;
    },
  };
}

export function adapted(plan: Plan, param: Type): Plan {
  if (param.kind === 'dyn') return boxed(plan);
  return isPartlyDyn(plan.type) || isPartlyDyn(param) ? heldAs(plan, param) : plan;
}
