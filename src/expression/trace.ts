/**
 * An evaluation, looked at from inside.
 * **In**: what a planner made of each node, and an evaluation. **Out**: the tree as it was written, with the value of each
 * part; and, where it failed, the part that did and why. **Fails**: never.
 */
import type { Type } from '../attributes/types.ts';
import type { Node } from './parse/ast.ts';
import type { Val } from './values/dynamic.ts';
import { attributeOf } from './guards.ts';
import { partsOf } from './parse/parser.ts';
import type { Plan } from './planned.ts';

export interface TracedPart {
  /** As the operator wrote it. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly type: Type;
  /** `skipped`: it was not asked, since the answer did not depend on it. In a macro's body: of the last element. */
  readonly outcome: 'value' | 'absent' | 'failed' | 'skipped';
  readonly value: Val | undefined;
  readonly parts: readonly TracedPart[];
}

export interface Failing {
  readonly start: number;
  readonly end: number;
  /** One sentence, without values: they may be secret. */
  readonly message: string;
}

/** Filled by a planner that was given it. */
export class Trace {
  readonly #plans = new Map<Node, Plan>();
  readonly #values = new Map<Node, Val | undefined>();
  /** The innermost node whose evaluation threw. */
  #faulty: Node | undefined;

  /** The plan, noting each value that it makes. */
  planned(node: Node, plan: Plan): Plan {
    this.#plans.set(node, plan);
    const { run } = plan;
    return {
      ...plan,
      emit: undefined,
      run: (bag) => {
        try {
          const value = run(bag);
          this.#values.set(node, value);
          return value;
        } catch (fault) {
          this.#values.set(node, undefined);
          this.#faulty ??= node;
          throw fault;
        }
      },
    };
  }

  forget(): void {
    this.#values.clear();
    this.#faulty = undefined;
  }

  tree(node: Node, source: string): TracedPart {
    const plan = this.#plans.get(node);
    const isAsked = this.#values.has(node);
    const value = this.#values.get(node) ?? (isAsked ? undefined : plan?.constant);
    const parts =
      plan?.constant === undefined
        ? partsOf(node)
            .filter((part) => this.#plans.has(part))
            .map((part) => this.tree(part, source))
        : [];
    return {
      text: source.slice(node.start, node.end),
      start: node.start,
      end: node.end,
      type: plan?.type ?? { kind: 'dyn' },
      outcome:
        value !== undefined ? 'value' : !isAsked ? 'skipped' : attributeOf(node) === undefined ? 'failed' : 'absent',
      value,
      parts,
    };
  }

  /** The innermost part that failed though all that it is made of did not; the first where there are several. `fault`: why the evaluation was broken off. */
  failing(node: Node, fault?: string): Failing | undefined {
    if (fault !== undefined)
      return { start: (this.#faulty ?? node).start, end: (this.#faulty ?? node).end, message: fault };
    if (!this.#values.has(node) || this.#values.get(node) !== undefined) return undefined;
    for (const part of partsOf(node)) {
      const inner = this.failing(part);
      if (inner !== undefined) return inner;
    }
    return { start: node.start, end: node.end, message: this.#why(node) };
  }

  #valueOf(node: Node | undefined): Val | undefined {
    return node === undefined ? undefined : (this.#values.get(node) ?? this.#plans.get(node)?.constant);
  }

  #why(node: Node): string {
    switch (node.kind) {
      case 'name':
        return `${node.name} is absent`;
      case 'select': {
        const below = this.#valueOf(node.of);
        if (below === undefined) return `${attributeOf(node) ?? 'the attribute'} is absent`;
        return `there is no key ${JSON.stringify(node.field)}`;
      }
      case 'index': {
        const key = this.#valueOf(node.key);
        if (Array.isArray(this.#valueOf(node.of))) return 'the list has no element of that index';
        return typeof key === 'string' && node.key.kind === 'literal'
          ? `there is no key ${JSON.stringify(key)}`
          : 'there is no such key';
      }
      case 'has':
        return 'what has() looks into is absent, or has no fields';
      case 'call': {
        const [, divisor] = node.args;
        if ((node.name === '/' || node.name === '%') && isZero(this.#valueOf(divisor))) return 'divided by zero';
        if ('+-*/%'.includes(node.name) || node.name === 'neg')
          return this.#isDyn(node)
            ? `the values do not go with ${node.name === 'neg' ? '-' : node.name}, or the result is beyond its range`
            : 'the result is beyond the range of its type';
        return `${node.name}() does not go with these values`;
      }
      case 'list':
      case 'map':
        return 'a key is there twice, or is no key';
      case 'and':
      case 'or':
      case 'if':
        return 'a condition is not a bool';
      default:
        return 'it does not go with these values';
    }
  }

  #isDyn(node: Node): boolean {
    return partsOf(node).some((part) => this.#plans.get(part)?.type.kind === 'dyn');
  }
}

const isZero = (value: Val | undefined): boolean => value === 0 || value === 0n;
