/** Thompson's construction: the non-deterministic automaton of a pattern. */
import type { Pattern, Symbols } from './syntax.ts';

const MAX_NODES = 2000;

export type NfaNode =
  | { readonly kind: 'match' }
  | { readonly kind: 'symbols'; readonly symbols: Symbols; readonly next: number }
  | { readonly kind: 'start' | 'end'; readonly next: number }
  | { kind: 'split'; next: number; other: number };

export interface Nfa {
  readonly nodes: readonly NfaNode[];
  readonly start: number;
}

/** `undefined` for a pattern with too many nodes. */
export function nfaOf(pattern: Pattern): Nfa | undefined {
  const builder = new NfaBuilder();
  const start = builder.add(pattern, builder.match());
  return builder.isTooLarge ? undefined : { nodes: builder.nodes, start };
}

class NfaBuilder {
  readonly nodes: NfaNode[] = [];
  isTooLarge = false;

  match(): number {
    return this.#push({ kind: 'match' });
  }

  /** The node where the pattern begins, if `next` follows it. */
  add(pattern: Pattern, next: number): number {
    if (this.isTooLarge) return next;
    switch (pattern.kind) {
      case 'empty':
        return next;
      case 'symbols':
        return this.#push({ kind: 'symbols', symbols: pattern.symbols, next });
      case 'start':
      case 'end':
        return this.#push({ kind: pattern.kind, next });
      case 'sequence':
        return pattern.parts.reduceRight((after, part) => this.add(part, after), next);
      case 'choice':
        return pattern.parts
          .map((part) => this.add(part, next))
          .reduce((one, other) => this.#push({ kind: 'split', next: one, other }));
      case 'repeat':
        return this.#repeat(pattern, next);
    }
  }

  #repeat({ of, least, most }: Pattern & { kind: 'repeat' }, next: number): number {
    let begin = next;
    if (most === Infinity) {
      const loop: NfaNode = { kind: 'split', next: 0, other: next };
      begin = this.#push(loop);
      loop.next = this.add(of, begin);
    } else {
      for (let more = least; more < most; more += 1)
        begin = this.#push({ kind: 'split', next: this.add(of, begin), other: next });
    }
    for (let times = 0; times < least; times += 1) begin = this.add(of, begin);
    return begin;
  }

  #push(node: NfaNode): number {
    if (this.nodes.length >= MAX_NODES) this.isTooLarge = true;
    return this.nodes.push(node) - 1;
  }
}
