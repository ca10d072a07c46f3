/** What counts against the budget of an evaluation (budget.ts), beside what functions count themselves. */
import type { Type } from '../../attributes/types.ts';
import { READ_PER_STEP, spendSteps } from '../budget.ts';
import { childrenOf, type Typed } from '../check/typed.ts';
import type { Run } from './runs.ts';

/** Whether anything in the tree is counted: a macro, or a function that builds text. */
export function isMetered(typed: Typed): boolean {
  switch (typed.kind) {
    case 'constant':
    case 'attribute':
      return false;
    case 'macro':
      return true;
    case 'call':
      return typed.overload.builds === true || typed.args.some(isMetered);
    case 'dispatch':
      return typed.overloads.some(({ builds }) => builds === true) || typed.args.some(isMetered);
    case 'and':
    case 'or':
      return isMetered(typed.left) || isMetered(typed.right);
    default:
      return childrenOf(typed).some(isMetered);
  }
}

const WEIGHED: ReadonlySet<Type['kind']> = new Set(['string', 'bytes', 'list', 'map', 'dyn']);
export const isWeighed = ({ kind }: Type): boolean => WEIGHED.has(kind);

/** `name`: of the function or operator that reads the value. */
export function weighedRun(run: Run, name: string): Run {
  const perStep = name === 'matches' ? 1 : READ_PER_STEP; // an automaton takes several times as long for each character
  const readsMaps = name === '==' || name === '!=';
  const readsLists = name !== 'size';
  return (bag) => {
    const value = run(bag);
    const size =
      typeof value === 'string' || value instanceof Uint8Array
        ? value.length
        : Array.isArray(value)
          ? readsLists
            ? value.length
            : 0
          : value instanceof Map && readsMaps
            ? value.size
            : 0;
    if (size >= perStep) spendSteps(Math.trunc(size / perStep));
    return value;
  };
}
