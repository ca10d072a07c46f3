/**
 * Constant folding.
 * **In**: a typed tree. **Out**: the tree with constant parts evaluated, and with sets in place of constant lists to the right of
 * `in`. **Fails**: with a problem for each constant part that always fails; with a warning if something around it may absorb
 * the failure.
 */
import type { Bag } from '../../attributes/bag.ts';
import { DYN } from '../../attributes/types.ts';
import { DEFAULT_BUDGET, withinBudget } from '../budget.ts';
import { closureOf } from '../closures/closures.ts';
import { IN_LIST_OF_SAME } from '../functions/operators.ts';
import type { Overload } from '../functions/overload.ts';
import type { Problem } from '../parse/problem.ts';
import type { Val } from '../values/dynamic.ts';
import { constantOf, isInvalid, type Typed, type TypedOf } from '../check/typed.ts';

export interface Folded {
  readonly tree: Typed;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export function fold(tree: Typed): Folded {
  const folder = new Folder();
  return { tree: folder.fold(tree), problems: folder.problems, warnings: folder.warnings };
}

class Folder {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  /** The number of nodes around this one that may absorb a failure. */
  #absorbing = 0;

  fold(typed: Typed): Typed {
    switch (typed.kind) {
      case 'constant':
      case 'attribute':
      case 'variable':
      case 'hasAttribute':
      case 'inSet':
      case 'invalid':
        return typed;
      case 'lookup': {
        const [of, key] = [this.fold(typed.of), this.fold(typed.key)];
        return of === typed.of && key === typed.key ? typed : { ...typed, of, key };
      }
      case 'hasField':
      case 'hasValue': {
        const of = this.fold(typed.of);
        return of === typed.of ? typed : { ...typed, of };
      }
      case 'not':
      case 'convert':
      case 'passthrough': {
        const of = this.fold(typed.of);
        const folded = of === typed.of ? typed : { ...typed, of };
        return of.kind === 'constant' ? evaluated(folded) : folded;
      }
      case 'and':
      case 'or': {
        const [left, right] = [this.#absorbed(typed.left), this.#absorbed(typed.right)];
        const folded = left === typed.left && right === typed.right ? typed : { ...typed, left, right };
        return left.kind === 'constant' && right.kind === 'constant' ? evaluated(folded) : folded;
      }
      case 'identical': {
        const [left, right] = [this.fold(typed.left), this.fold(typed.right)];
        const folded = left === typed.left && right === typed.right ? typed : { ...typed, left, right };
        return left.kind === 'constant' && right.kind === 'constant' ? evaluated(folded) : folded;
      }
      case 'if': {
        const test = this.fold(typed.test);
        const [yes, no] = [this.#absorbed(typed.yes), this.#absorbed(typed.no)];
        const folded = { ...typed, test, yes, no };
        return [test, yes, no].every(({ kind }) => kind === 'constant') ? evaluated(folded) : folded;
      }
      case 'call':
        return this.#call(typed);
      case 'dispatch':
        return this.#dispatch(typed);
      case 'orElse':
        return { ...typed, of: this.fold(typed.of), instead: this.fold(typed.instead) };
      case 'list': {
        const items = typed.items.map((item) => ({ ...item, value: this.fold(item.value) }));
        const folded = { ...typed, items };
        return items.every(({ value }) => value.kind === 'constant') ? evaluated(folded) : folded;
      }
      case 'map': {
        const entries = typed.entries.map((entry) => ({
          ...entry,
          key: this.fold(entry.key),
          value: this.fold(entry.value),
        }));
        const folded = { ...typed, entries };
        const isConstant = entries.every(({ key, value }) => key.kind === 'constant' && value.kind === 'constant');
        return isConstant ? evaluated(folded) : folded;
      }
      case 'macro': {
        const over = this.fold(typed.over);
        const filter = typed.filter === undefined ? undefined : this.#absorbed(typed.filter);
        return { ...typed, over, filter, body: this.#absorbed(typed.body) };
      }
      case 'optMap':
        return { ...typed, over: this.fold(typed.over), body: this.#absorbed(typed.body) };
      case 'bind':
        return { ...typed, value: this.#absorbed(typed.value), body: this.#absorbed(typed.body) };
    }
  }

  #absorbed(typed: Typed): Typed {
    this.#absorbing += 1;
    const folded = this.fold(typed);
    this.#absorbing -= 1;
    return folded;
  }

  #call(typed: TypedOf<'call'>): Typed {
    const args = this.#all(typed.args);
    const { overload } = typed;
    const wrong = this.#wrongConstant([overload], args, typed);
    if (wrong !== undefined) return wrong;
    const folded: Typed = args === typed.args ? typed : { ...typed, args };
    const [item, list] = args;
    if (args.every(({ kind }) => kind === 'constant')) {
      const value = evaluated(folded);
      if (value.kind === 'constant' || args.length === 0) return value;
      return overload.isOperator === true ? this.#overflow(folded) : this.#failing(folded);
    }
    if (overload === IN_LIST_OF_SAME && item !== undefined && list?.kind === 'constant')
      return { kind: 'inSet', node: typed.node, type: typed.type, item, values: new Set(list.value as readonly Val[]) };
    return folded;
  }

  #dispatch(typed: TypedOf<'dispatch'>): Typed {
    const args = this.#all(typed.args);
    const folded: Typed = args === typed.args ? typed : { ...typed, args };
    if (!args.every(({ kind }) => kind === 'constant')) return folded;
    const wrong = this.#wrongConstant(typed.overloads, args, typed);
    if (wrong !== undefined) return wrong;
    const value = evaluated(folded);
    return value.kind === 'constant' ? value : this.#failing(folded);
  }

  #all(args: readonly Typed[]): readonly Typed[] {
    let folded: Typed[] | undefined;
    for (const [at, arg] of args.entries()) {
      const one = this.fold(arg);
      if (one !== arg) (folded ??= [...args])[at] = one;
    }
    return folded ?? args;
  }

  /** The problem of a malformed constant, such as a pattern, an address or a time. */
  #wrongConstant(overloads: readonly Overload[], args: readonly Typed[], typed: Typed): Typed | undefined {
    for (const { checkConstant } of overloads) {
      const message = checkConstant?.(args.map(constantOf));
      if (message === undefined) continue;
      const constant = args.findLast(({ kind }) => kind === 'constant') ?? typed;
      return this.#problem('EXPRESSION_CONSTANT', message, typed, constant);
    }
    return undefined;
  }

  #failing(typed: Typed): Typed {
    return typed.kind === 'call' && typed.args.some(isInvalid)
      ? typed
      : this.#problem('EXPRESSION_CONSTANT', 'this constant cannot be computed', typed);
  }

  #overflow(typed: Typed): Typed {
    const { start, end } = typed.node;
    const message = 'this constant cannot be computed: a number is out of range, or divided by 0';
    if (this.#absorbing === 0) return this.#problem('EXPRESSION_OVERFLOW', message, typed);
    this.warnings.push({ code: 'EXPRESSION_OVERFLOW', message, start, end });
    return typed;
  }

  #problem(code: string, message: string, { node }: Typed, { node: at }: Typed = { node } as Typed): Typed {
    this.problems.push({ code, message, start: at.start, end: Math.max(at.end, at.start + 1) });
    return { kind: 'invalid', node, type: DYN };
  }
}

/** The constant; the node itself if its evaluation fails or exceeds the budget. */
function evaluated(typed: Typed): Typed {
  const value = valueOf(typed);
  return value === undefined ? typed : { kind: 'constant', node: typed.node, type: typed.type, value };
}

function valueOf(typed: Typed): Val | undefined {
  try {
    return withinBudget(DEFAULT_BUDGET, closureOf(typed), EMPTY_BAG);
  } catch {
    return undefined;
  }
}

const EMPTY_BAG: Bag = { get: () => undefined };
