import type { Type } from '../../attributes/types.ts';
import type { Val } from '../values/dynamic.ts';

/** One way to call a function or an operator. */
export interface Overload {
  readonly name: string;
  /** Called as `target.name(...)`; the target is the first of `params`. */
  readonly method: boolean;
  readonly params: readonly Type[];
  readonly result: Type;
  /** Arguments are in the static form of `params`; `undefined`: the call failed. */
  readonly run: (...args: never[]) => Val | undefined;
  /** An operator, whose constants fail by their range. */
  readonly isOperator?: boolean;
  /** Spends the evaluation's budget: the result may be longer than the arguments. */
  readonly builds?: boolean;
  /** The problem of a constant argument, if any; called at load. */
  readonly checkConstant?: (args: readonly (Val | undefined)[]) => string | undefined;
  /** `run` as JavaScript over the code of the arguments, where that is faster than a call. */
  readonly code?: (...args: readonly string[]) => string;
  /** The same, if all arguments after the first are constant. */
  readonly constantCode?: (...args: readonly string[]) => string;
  /** Makes a function of the first argument, if all others are constant. */
  readonly specialise?: (args: readonly Val[]) => ((first: never) => Val | undefined) | undefined;
}

export const fn = (
  name: string,
  params: readonly Type[],
  result: Type,
  run: Overload['run'],
  more: Partial<Overload> = {},
): Overload => ({ name, method: false, params, result, run, ...more });
export const method = (
  name: string,
  params: readonly Type[],
  result: Type,
  run: Overload['run'],
  more: Partial<Overload> = {},
): Overload => ({ name, method: true, params, result, run, ...more });
