/**
 * Traces an evaluation.
 * **In**: a typed tree, and an evaluation of its decorated closures. **Out**: the tree as written, with the value of each part; if the
 * evaluation failed, the part that failed and the reason. **Fails**: never.
 */
import type { Type } from '../../attributes/types.ts';
import { childrenOf, constantOf, type Typed } from '../check/typed.ts';
import type { Decorate } from '../closures/closures.ts';
import { NOT_JSON } from '../functions/json.ts';
import { type Node, attributeNameOf, partsOf } from '../parse/ast.ts';
import type { Val } from '../values/dynamic.ts';

export interface TracedPart {
  /** As the operator wrote it. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly type: Type;
  /** `skipped`: it was not evaluated, since the answer did not depend on it. In a macro's body: of the last element. */
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

export class Trace {
  readonly #source: string;
  readonly #root: Node;
  /** The outermost typed node of each part of the text, conversions aside. */
  readonly #typed = new Map<Node, Typed>();
  readonly #values = new Map<Node, Val | undefined>();
  /** The innermost part whose evaluation threw. */
  #faulty: Node | undefined;

  constructor(source: string, tree: Typed) {
    this.#source = source;
    this.#root = withoutConversion(tree).node;
    this.#register(tree);
  }

  /** Records the value of each node. */
  readonly decorate: Decorate = ({ kind, node }, run) => {
    if (kind === 'convert') return run;
    const values = this.#values;
    return (bag) => {
      try {
        const value = run(bag);
        values.set(node, value);
        return value;
      } catch (fault) {
        values.set(node, undefined);
        this.#faulty ??= node;
        throw fault;
      }
    };
  };

  forget(): void {
    this.#values.clear();
    this.#faulty = undefined;
  }

  tree(): TracedPart {
    return this.#part(this.#root);
  }

  /**
   * The innermost part that failed although its own parts did not; the first of several. `fault`: why the evaluation was
   * aborted. `undefined` if nothing failed.
   */
  failing(fault?: string): Failing | undefined {
    if (fault === undefined) return this.#failing(this.#root);
    const { start, end } = this.#faulty ?? this.#root;
    return { start, end, message: fault };
  }

  #register(typed: Typed): void {
    const { node } = typed;
    if (typed.kind === 'convert') {
      this.#register(typed.of);
      return;
    }
    if (!this.#typed.has(node)) this.#typed.set(node, typed);
    if (!HAS.has(typed.kind)) for (const child of childrenOf(typed)) this.#register(child);
  }

  #part(node: Node): TracedPart {
    const { start, end } = node;
    const typed = this.#typed.get(node);
    const isEvaluated = this.#values.has(node);
    const value = this.#valueOf(node);
    return {
      text: this.#source.slice(start, end),
      start,
      end,
      type: typed?.type ?? { kind: 'dyn' },
      outcome:
        value !== undefined
          ? 'value'
          : !isEvaluated
            ? 'skipped'
            : attributeNameOf(node) === undefined
              ? 'failed'
              : 'absent',
      value,
      parts: partsOf(node)
        .filter((part) => this.#typed.has(part))
        .map((part) => this.#part(part)),
    };
  }

  #failing(node: Node): Failing | undefined {
    if (!this.#values.has(node) || this.#values.get(node) !== undefined) return undefined;
    for (const part of partsOf(node)) {
      const inner = this.#typed.has(part) ? this.#failing(part) : undefined;
      if (inner !== undefined) return inner;
    }
    return { start: node.start, end: node.end, message: this.#reason(node) };
  }

  /** Constants are not evaluated where a call was specialised for them. */
  #valueOf(node: Node | undefined): Val | undefined {
    if (node === undefined) return undefined;
    if (this.#values.has(node)) return this.#values.get(node);
    const typed = this.#typed.get(node);
    return typed === undefined ? undefined : constantOf(typed);
  }

  #reason(node: Node): string {
    switch (node.kind) {
      case 'name':
        return `${node.name} is absent`;
      case 'select': {
        const below = this.#valueOf(node.of);
        if (below === undefined) return `${attributeNameOf(node) ?? 'the attribute'} is absent`;
        return `no such key: ${JSON.stringify(node.field)}`;
      }
      case 'index': {
        const key = this.#valueOf(node.key);
        if (Array.isArray(this.#valueOf(node.of))) return 'index out of range';
        return typeof key === 'string' && node.key.kind === 'literal'
          ? `no such key: ${JSON.stringify(key)}`
          : 'no such key';
      }
      case 'has':
        return 'the operand of has() is absent, or has no fields';
      case 'call': {
        const [, divisor] = node.args;
        if ((node.name === '/' || node.name === '%') && isZero(this.#valueOf(divisor))) return 'divided by zero';
        if ('+-*/%'.includes(node.name))
          return this.#isDyn(node)
            ? `${node.name} does not accept values of these types, or the result is out of range`
            : 'the result is out of the range of its type';
        if (node.name === 'decode' && node.target?.kind === 'name' && node.target.name === 'json') return NOT_JSON;
        return `${node.name}() does not accept these values`;
      }
      case 'list':
      case 'map':
        return 'a repeated key, or a key of an invalid type';
      case 'and':
      case 'or':
      case 'if':
        return 'a condition is not a bool';
      default:
        return 'it does not accept these values';
    }
  }

  #isDyn(node: Node): boolean {
    return partsOf(node).some((part) => this.#typed.get(part)?.type.kind === 'dyn');
  }
}

/** Their operands are not parts: only the presence of a value is asked. */
const HAS: ReadonlySet<Typed['kind']> = new Set(['hasAttribute', 'hasField', 'hasValue']);

const withoutConversion = (typed: Typed): Typed => (typed.kind === 'convert' ? withoutConversion(typed.of) : typed);
const isZero = (value: Val | undefined): boolean => value === 0 || value === 0n;
