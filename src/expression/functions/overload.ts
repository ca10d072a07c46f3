import type { Type } from '../../attributes/types.ts';
import type { Val } from '../values/dynamic.ts';

/** One way to call a function. Arguments come in the static form of `params`; `undefined` out: the call failed. */
export interface Overload {
  readonly name: string;
  /** Called as `target.name(...)`: the target is the first of `params`. */
  readonly method: boolean;
  readonly params: readonly Type[];
  readonly result: Type;
  readonly run: (...args: never[]) => Val | undefined;
  /** Spends characters of the evaluation's budget: its text may be longer than all that it is given. */
  readonly builds?: boolean;
  /** Says what is wrong with a constant argument, at load. */
  readonly checkConstant?: (args: readonly (Val | undefined)[]) => string | undefined;
  /** The same as JavaScript over the codes of its arguments, where that is shorter than calling it. */
  readonly code?: (...args: readonly string[]) => string;
  /** The same, where its arguments after the first are constant. */
  readonly constantCode?: (...args: readonly string[]) => string;
  /** Makes the function once where its arguments after the first are constant. */
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
