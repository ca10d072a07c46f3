/**
 * The part of a condition that decided it.
 * **In**: the match of a rule, and a bag. **Out**: its result, and the smallest part that made it so; the attributes that were read.
 * **Fails**: never; a match that fails is a result.
 */
import { RecordingBag, type RequestBag } from '../attributes/bag.ts';
import type { Attributes } from '../attributes/attributes.ts';
import { FAILED, traceable, type Traceable, type TracedPart } from '../expression/index.ts';
import type { Rule } from '../core/rules/rule.ts';

export interface DecidingPart {
  readonly result: 'applies' | 'does not apply' | 'failed';
  /** As the operator wrote it; `undefined`: the rule has no match, and always applies. */
  readonly text: string | undefined;
  /** Why it failed, without values. */
  readonly failure: string | undefined;
  /** Slots of the attributes that were read. */
  readonly read: readonly number[];
}

/** Compiles a match again, so that its parts can be seen; several times slower than the rule's own. */
export class DecidingParts {
  readonly #attributes: Attributes;
  readonly #traced = new WeakMap<Rule, Traceable>();

  /** Of the policy of the rules. */
  constructor(attributes: Attributes) {
    this.#attributes = attributes;
  }

  of(rule: Rule, bag: RequestBag): DecidingPart {
    const { match } = rule;
    if (match === undefined) return { result: 'applies', text: undefined, failure: undefined, read: [] };
    const recording = new RecordingBag(bag);
    const traced = this.#tracedOf(rule, match.source);
    if (traced === undefined) {
      const value = match.evaluate(recording);
      return { ...resultOf(value), text: match.source, failure: undefined, read: [...recording.looked.keys()] };
    }
    const { value, tree, failing } = traced.evaluate(recording);
    const read = [...recording.looked.keys()];
    if (failing === undefined)
      return { ...resultOf(value), text: decisive(tree, value === true).text, failure: undefined, read };
    const { start, end, message } = failing;
    return { result: 'failed', text: match.source.slice(start, end), failure: message, read };
  }

  #tracedOf(rule: Rule, source: string): Traceable | undefined {
    let traced = this.#traced.get(rule);
    if (traced !== undefined) return traced;
    traced = traceable(source, this.#attributes).compiled;
    if (traced !== undefined) this.#traced.set(rule, traced);
    return traced;
  }
}

const resultOf = (value: unknown): Pick<DecidingPart, 'result'> => ({
  result: value === FAILED ? 'failed' : value === true ? 'applies' : 'does not apply',
});

/** Of `a && b` that is false the first false one, of `a || b` that is true the first true one; otherwise the whole. */
function decisive(part: TracedPart, value: boolean): TracedPart {
  const [left, right] = part.parts;
  if (left === undefined || right === undefined || part.parts.length > 2) return part;
  const between = part.text.slice(left.end - part.start, right.start - part.start);
  if (!between.includes(value ? '||' : '&&')) return part;
  return decisive(left.value === value ? left : right, value);
}
