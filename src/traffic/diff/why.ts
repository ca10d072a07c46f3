/**
 * **In**: a call that two policies decide differently, and the rules to look at. **Out**: for each rule and policy the part of its
 * condition that decided, and the values that were read. **Fails**: never.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import { jsonOfValue } from '../../attributes/json-of-value.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Mode, Rule } from '../../core/rules/rule.ts';
import { type DecidingPart, DecidingParts } from '../../explain/deciding-part.ts';
import type { Side } from './difference.ts';

export interface RuleWhy {
  readonly policy: 'old' | 'new';
  readonly rule: string;
  /** `applies: request.method == "GET"`, `applies, in shadow mode: ...` */
  readonly text: string;
  readonly reason: string | undefined;
}

export interface Why {
  readonly rules: readonly RuleWhy[];
  /** Of the attributes that the conditions read: null if absent. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** One of the two policies. */
export class Explained {
  readonly name: 'old' | 'new';
  readonly #policy: Policy;
  readonly #parts: DecidingParts;
  readonly #rules: ReadonlyMap<string, Rule>;

  constructor(name: 'old' | 'new', policy: Policy) {
    this.name = name;
    this.#policy = policy;
    this.#parts = new DecidingParts(policy.attributes);
    this.#rules = new Map(policy.rules.map((rule) => [rule.name, rule]));
  }

  rule(name: string): Rule | undefined {
    return this.#rules.get(name);
  }

  partOf(rule: Rule, bag: RequestBag): DecidingPart {
    return this.#parts.of(rule, bag);
  }

  /** Names of the rules of this group of allow. */
  allowing(group: string): readonly string[] {
    return this.#policy.rules
      .filter(({ action }) => action?.kind === 'allow' && action.group === group)
      .map(({ name }) => name);
  }

  nameOf(slot: number): string {
    return this.#policy.attributes.at(slot).name;
  }
}

/** One of the policies, with the call as its rules read it. */
export interface ExplainedSide {
  readonly explained: Explained;
  readonly bag: RequestBag;
  readonly side: Side;
}

const MAX_ALLOWING = 3;

export function whyOf(rules: readonly string[], sides: readonly ExplainedSide[]): Why {
  const values: Record<string, unknown> = {};
  const lookAt = (name: string): readonly RuleWhy[] => sides.map((one) => ruleWhy(name, one, values));
  const all = rules.map((name) => ({ name, whys: lookAt(name) }));
  // A rule that refuses what nothing allowed: the rules that allow it in one policy alone.
  const groups = new Set(
    rules.flatMap((name) =>
      sides.flatMap(({ explained }) => {
        const action = explained.rule(name)?.action;
        return action?.kind === 'deny' && action.unlessAllowed !== undefined ? [action.unlessAllowed] : [];
      }),
    ),
  );
  const allowing = new Set([...groups].flatMap((group) => sides.flatMap(({ explained }) => explained.allowing(group))));
  let found = 0;
  for (const name of allowing) {
    if (found === MAX_ALLOWING || sides.length < 2) break;
    const results = sides.map(({ explained, bag }) => {
      const rule = explained.rule(name);
      return rule === undefined ? 'does not apply' : explained.partOf(rule, bag).result;
    });
    if (new Set(results).size === 1) continue;
    found++;
    all.push({ name, whys: lookAt(name) });
  }
  return { rules: all.flatMap(({ whys }) => whys), values };
}

function ruleWhy(name: string, { explained, bag, side }: ExplainedSide, values: Record<string, unknown>): RuleWhy {
  const policy = explained.name;
  const rule = explained.rule(name);
  if (rule === undefined) return { policy, rule: name, text: 'is not in the policy', reason: undefined };
  const part = explained.partOf(rule, bag);
  for (const slot of part.read) {
    const value = bag.get(slot);
    values[explained.nameOf(slot)] = value === undefined ? null : jsonOfValue(value);
  }
  return {
    policy,
    rule: name,
    text: textOf(part, rule.mode),
    reason: side.reasons.find((reason) => reason.rule === name)?.text,
  };
}

function textOf({ result, text, failure }: DecidingPart, mode: Mode): string {
  const how = howEnforced(mode);
  if (text === undefined) return `applies to every call${how}`;
  if (result === 'failed') return `fails${how}: ${text}: ${failure ?? ''}`;
  return result === 'applies' ? `applies${how}: ${text}` : `does not apply: ${text}`;
}

/** Two policies may differ in nothing else. */
function howEnforced(mode: Mode): string {
  switch (mode.kind) {
    case 'enforce':
      return '';
    case 'shadow':
      return ', in shadow mode';
    case 'percent':
      return `, enforced for ${mode.percent} %`;
  }
}
