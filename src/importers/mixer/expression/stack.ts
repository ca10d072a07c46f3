/**
 * The stack of Mixer's programs (`mixer/pkg/lang/compiler/compiler.go`, `mixer/pkg/il`), by whose order of values `|` is decided.
 * **In**: values of parts, as they are evaluated. **Out**: the value that Mixer takes. **Fails**: with an {@link EvaluationFailure}.
 */
import type { Bag } from '../../../attributes/bag.ts';
import type { Value } from '../../../attributes/values.ts';
import { EvaluationFailure } from './functions.ts';
import type { IstioType } from './tree.ts';

/**
 * Values in the order in which Mixer's programs push them. What stands to the left of `|` and is neither absent nor ends the chain
 * (the value of an operator) stays below the next value, where the operator around it may find it.
 */
export class Stack {
  readonly #values: { readonly type: IstioType; readonly value: Value }[] = [];

  push(type: IstioType, value: Value): void {
    this.#values.push({ type, value });
  }

  pop(type: IstioType): Value {
    const top = this.#values.pop();
    if (top === undefined) throw new EvaluationFailure('stack underflow');
    if (heldAs(top.type) !== heldAs(type))
      throw new EvaluationFailure(`invalid heap access: ${type} expected, found ${top.type}`);
    return top.value;
  }
}
/** Types that Mixer holds alike. */
const heldAs = (type: IstioType): IstioType =>
  type === 'DURATION' ? 'INT64' : ['DNS_NAME', 'EMAIL_ADDRESS', 'URI'].includes(type) ? 'STRING' : type;

type Run = (bag: Bag, stack: Stack) => void;
export interface Evaluator {
  readonly type: IstioType;
  /** Pushes the value. */
  readonly run: Run;
  /** Used to the left of `|`: whether the chain ends with a value; an absent attribute, where `run` throws, does not end it. */
  readonly endsChain: (bag: Bag, stack: Stack) => boolean;
}

/** Constants and functions: their value ends a chain of `|`. */
export const ended = (type: IstioType, run: Run): Evaluator => ({
  type,
  run,
  endsChain: (bag, stack) => {
    run(bag, stack);
    return true;
  },
});
/** Mixer evaluates an operator to the left of `|`, which may fail, and goes on to the right. */
export const operator = (type: IstioType, run: Run): Evaluator => ({
  type,
  run,
  endsChain: (bag, stack) => {
    run(bag, stack);
    return false;
  },
});
