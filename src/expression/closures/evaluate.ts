import type { Bag } from '../../attributes/bag.ts';
import type { Val } from '../values/dynamic.ts';
import { type Budget, withinBudget } from '../budget.ts';
import type { Run } from './runs.ts';

/** The result of a failed evaluation. It is neither a value nor "no"; the caller decides what a failure means. */
export const FAILED: unique symbol = Symbol('failed');

/** Never throws: an exception of a function or of the bag fails the evaluation and is passed to `onFault`. */
export type Evaluate = (bag: Bag, onFault?: (fault: unknown) => void) => Val | typeof FAILED;

export function evaluatorOf(run: Run): Evaluate {
  return (bag, onFault) => {
    try {
      const value = run(bag);
      return value === undefined ? FAILED : value;
    } catch (fault) {
      onFault?.(fault);
      return FAILED;
    }
  };
}

export const metered =
  (evaluate: Evaluate, budget: Budget): Evaluate =>
  (bag, onFault) =>
    withinBudget(budget, evaluate, bag, onFault);
