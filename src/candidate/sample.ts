/**
 * A call on which the candidate decides otherwise, for operators.
 * **In**: the call by both policies. **Out**: plain data without secrets: the request, both outcomes, and the part of a condition that
 * makes the difference, with the values that it read. **Fails**: never.
 */
import type { RequestBag } from '../attributes/bag.ts';
import { RedactedRequest } from '../attributes/redacted-request.ts';
import type { Masks } from '../attributes/secrets.ts';
import type { LimitVerdict, Outcome, Verdict } from '../core/call.ts';
import type { DecidedCall } from '../core/history/observers.ts';
import { fieldsOf, type KeptVerdict } from '../core/history/summary.ts';
import type { RuleOutcome } from '../core/outcome.ts';
import type { Rule } from '../core/rules/rule.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import { DecidingParts } from '../explain/deciding-part.ts';
import { differingDescriptor } from './compare-verdicts.ts';

export interface ComparedCall {
  readonly timeMs: number;
  /** Bytes that it retains. */
  readonly weight: number;
  readonly inForce: DecidedCall;
  /** Once the candidate has decided it. */
  candidate: DecidedCall | undefined;
}

export interface SampleRow {
  readonly timeMs: number;
  /** Of the verdict in force, as in /verdicts. */
  readonly id: string;
  readonly request: KeptVerdict['request'];
  readonly inForce: SampledVerdict;
  readonly candidate: SampledVerdict;
  /** One line for each rule that makes the difference. */
  readonly why: string;
  /** Attributes that the conditions of these rules read, by name: null if absent, `(secret)` if hidden. */
  readonly values: Readonly<Record<string, unknown>>;
}
export interface SampledVerdict {
  readonly outcome: Outcome;
  readonly rule: string | null;
}

/** Rules of a sample; more than these say little more. */
const MAX_RULES = 3;

interface Side {
  readonly label: string;
  readonly snapshot: Snapshot;
  readonly parts: DecidingParts;
  readonly verdict: Verdict | LimitVerdict;
  readonly outcomes: readonly RuleOutcome[];
  readonly bag: RequestBag;
  readonly shown: RedactedRequest;
}

/** Makes samples of one pair of policies; conditions are compiled once for their parts. */
export class SampleMaker {
  #parts: { readonly inForce: DecidingParts; readonly candidate: DecidingParts } | undefined;

  /** `undefined` for a call that the candidate's engine could not decide. */
  rowOf({ timeMs, inForce: now, candidate: then }: ComparedCall): SampleRow | undefined {
    if (then === undefined) return undefined;
    const at =
      'statuses' in now.verdict && 'statuses' in then.verdict
        ? (differingDescriptor(now.verdict, then.verdict) ?? 0)
        : 0;
    const [bagNow, bagThen] = [now.bags[at] ?? now.bags[0], then.bags[at] ?? then.bags[0]];
    if (bagNow === undefined || bagThen === undefined) return undefined;
    const masks = bothMasks(now.snapshot.policy.decisions.masks, then.snapshot.policy.decisions.masks);
    this.#parts ??= {
      inForce: new DecidingParts(now.snapshot.attributes),
      candidate: new DecidingParts(then.snapshot.attributes),
    };
    const sideOf = (
      label: string,
      { snapshot, verdict, outcomes }: DecidedCall,
      parts: DecidingParts,
      bag: RequestBag,
    ): Side => ({
      label,
      snapshot,
      parts,
      verdict,
      outcomes: outcomes.filter((outcome) => outcome.bag === bag),
      bag,
      shown: new RedactedRequest(bag, masks),
    });
    const inForce = sideOf('in force', now, this.#parts.inForce, bagNow);
    const candidate = sideOf('in the candidate', then, this.#parts.candidate, bagThen);
    const values: Record<string, unknown> = {};
    const why = rulesOf(inForce, candidate).map(
      (name) => `${name}: ${stateOf(name, inForce, values)}; ${stateOf(name, candidate, values)}`,
    );
    return {
      timeMs,
      id: now.verdict.id,
      request: fieldsOf(inForce.shown),
      inForce: { outcome: now.verdict.outcome, rule: now.verdict.rule ?? null },
      candidate: { outcome: then.verdict.outcome, rule: then.verdict.rule ?? null },
      why: why.join('\n'),
      values,
    };
  }
}

/** The deciding rules, and allow rules that one policy alone applied. */
function rulesOf(now: Side, then: Side): readonly string[] {
  const names = new Set([then.verdict.rule, now.verdict.rule].filter((name) => name !== undefined));
  for (const [one, other] of [[then, now] as const, [now, then] as const])
    for (const { prepared, result } of one.outcomes)
      if (prepared.allows !== undefined && result.kind === 'passed' && !passes(other, prepared.rule.name))
        names.add(prepared.rule.name);
  return [...names].slice(0, MAX_RULES);
}

const passes = ({ outcomes }: Side, name: string): boolean =>
  outcomes.some(({ prepared, result }) => prepared.rule.name === name && result.kind === 'passed');

/** Adds the values that its condition read. */
function stateOf(name: string, side: Side, values: Record<string, unknown>): string {
  const { label, snapshot, parts, verdict, bag, shown } = side;
  const rule = ruleOf(snapshot, name);
  if (rule === undefined) return `${label} there is no such rule`;
  const { result, text, failure, read } = parts.of(rule, bag);
  for (const slot of read)
    if (slot < snapshot.attributes.size) values[snapshot.attributes.at(slot).name] = shown.attribute(slot);
  const condition = text === undefined ? 'it always applies' : `\`${text}\` ${CONDITION[result]}`;
  if (failure !== undefined) return `${label} ${condition}: ${failure}`;
  const mode = rule.mode.kind === 'shadow' ? ' (shadow)' : '';
  const reason = verdict.reasons.find((one) => one.rule === name)?.text;
  return `${label} ${condition}${mode}${reason === undefined ? '' : `, ${shown.text(reason)}`}`;
}

const CONDITION = { applies: 'is true', 'does not apply': 'is false', failed: 'failed' } as const;

/** By policy, since a sample names few of many rules. */
const rules = new WeakMap<Snapshot, ReadonlyMap<string, Rule>>();
function ruleOf(snapshot: Snapshot, name: string): Rule | undefined {
  let known = rules.get(snapshot);
  if (known === undefined)
    rules.set(snapshot, (known = new Map(snapshot.policy.rules.map((rule) => [rule.name, rule]))));
  return known.get(name);
}

/** What either policy masks is masked. */
function bothMasks(one: Masks, other: Masks): Masks {
  const both = new Map(one);
  for (const [name, keys] of other) {
    const known = both.get(name);
    both.set(name, known === 'all' || keys === 'all' ? 'all' : new Set([...(known ?? []), ...keys]));
  }
  return both;
}
