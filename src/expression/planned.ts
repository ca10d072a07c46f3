/** What planning makes of a node: its type, and a closure that makes its value. `undefined` from a closure is "failed". */
import type { Bag } from '../attributes/bag.ts';
import { DYN, type Type } from '../attributes/types.ts';
import { NONE, type Val, boxer } from './dynamic.ts';

export type Run = (bag: Bag) => Val | undefined;

export interface Plan {
  readonly type: Type;
  readonly run: Run;
  /** The value, where it reads nothing and cannot fail. */
  readonly constant?: Val | undefined;
}

/** Of a node with a problem: it has been told, and what is made of it is not told again. */
export const WRONG: Plan = { type: DYN, run: () => undefined };

/** `[]`, `{}` and `optional.none()` are of every type of their kind. */
export const isEmpty = ({ constant }: Plan): boolean => constant === NONE || (Array.isArray(constant) && constant.length === 0) || (constant instanceof Map && constant.size === 0);
export const isPartlyDyn = (type: Type): boolean => type.kind === 'dyn' || ((type.kind === 'list' || type.kind === 'optional') && isPartlyDyn(type.of)) || (type.kind === 'map' && (isPartlyDyn(type.key) || isPartlyDyn(type.of)));

export function boxed(plan: Plan): Plan {
  const box = boxer(plan.type);
  if (plan.type.kind === 'dyn' || box === undefined) return { ...plan, type: DYN };
  const { run } = plan;
  return constantOf([plan], { type: DYN, run: (bag) => { const value = run(bag); return value === undefined ? undefined : box(value); } });
}

/** Works out at load what reads nothing. */
export function constantOf(operands: readonly Plan[], plan: Plan): Plan {
  if (!operands.every(({ constant }) => constant !== undefined)) return plan;
  const value = plan.run(NOTHING);
  return value === undefined ? plan : { type: plan.type, run: () => value, constant: value };
}
export const NOTHING: Bag = { get: () => undefined };
