/** The state of the checker: declared names, variables in scope, and the problems found so far. */
import type { Attributes } from '../../attributes/attributes.ts';
import { DYN, type Type, sameType, typeText } from '../../attributes/types.ts';
import type { Node } from '../parse/ast.ts';
import type { Problem } from '../parse/problem.ts';
import { fitsFreely, convertTo, isAssignableByValue, toDyn } from './types.ts';
import { type Typed, isInvalid } from './typed.ts';

export interface Variable {
  readonly name: string;
  readonly type: Type;
  readonly index: number;
}

export interface ScopeOptions {
  /** A part with a problem fails when it is evaluated, and not before (cel-spec, `disable_check`). */
  readonly isUnchecked: boolean;
  /** Names are looked up under it first, then under each shorter one (cel-spec, "Name resolution"). */
  readonly container: string;
}

export abstract class Scope {
  readonly attributes: Attributes;
  readonly problems: Problem[] = [];
  readonly #isUnchecked: boolean;
  /** `a.b.`, `a.` and the empty text, for the container `a.b`. */
  readonly #containers: readonly string[];
  readonly #variables: Variable[] = [];
  #variableCount = 0;

  constructor(attributes: Attributes, { isUnchecked, container }: ScopeOptions) {
    this.attributes = attributes;
    this.#isUnchecked = isUnchecked;
    const parts = container === '' ? [] : container.split('.');
    this.#containers =
      parts.length === 0 ? ROOT : [...parts.map((_, at) => `${parts.slice(0, parts.length - at).join('.')}.`), ''];
  }

  abstract check(node: Node): Typed;

  problem(code: string, message: string, node: Node): Typed {
    if (!this.#isUnchecked)
      this.problems.push({ code, message, start: node.start, end: Math.max(node.end, node.start + 1) });
    return { kind: 'invalid', node, type: DYN };
  }

  /** The slot of an attribute, looked up in the container and then in the enclosing ones. */
  slotOf(name: string, isAbsolute: boolean): number | undefined {
    const containers = this.#containers;
    for (const container of isAbsolute ? ROOT : containers) {
      const slot = this.attributes.slotOf(container + name);
      if (slot !== undefined) return slot;
    }
    return undefined;
  }

  variable(name: string): Variable | undefined {
    return this.#variables.findLast((variable) => variable.name === name);
  }

  withVariable(name: string, type: Type, check: (index: number) => Typed): Typed {
    const index = this.#variableCount++;
    this.#variables.push({ name, type, index });
    try {
      return check(index);
    } finally {
      this.#variables.pop();
    }
  }

  /** Converts to the wanted type; reports `why` if no value of the static type can be of it. */
  fit(typed: Typed, wanted: Type, why: string, at: Node = typed.node): Typed {
    if (wanted.kind === 'dyn') return toDyn(typed);
    if (isInvalid(typed) || sameType(typed.type, wanted)) return typed;
    if (fitsFreely(typed.type, wanted)) return { ...typed, type: wanted };
    if (isAssignableByValue(typed.type, wanted)) return convertTo(typed, wanted);
    return this.problem('EXPRESSION_TYPE', `${why}; found ${typeText(typed.type)}`, at);
  }
}

const ROOT: readonly string[] = [''];
