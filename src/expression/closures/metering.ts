/** Counts the values that calls in macro bodies read (budget.ts); macros and functions count the rest themselves. */
import type { Type } from '../../attributes/types.ts';
import { READ_PER_STEP, spendSteps } from '../budget.ts';
import { childrenOf, type Typed } from '../check/typed.ts';
import type { Run } from './runs.ts';

/** Whether the tree has anything that counts: a macro, or a function that builds text. */
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

const METERED_TYPES: ReadonlySet<Type['kind']> = new Set(['string', 'bytes', 'list', 'map', 'dyn']);
export const isMeteredType = ({ kind }: Type): boolean => METERED_TYPES.has(kind);

/** `name`: the function or operator that reads the value. */
export function meteredRun(run: Run, name: string): Run {
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
