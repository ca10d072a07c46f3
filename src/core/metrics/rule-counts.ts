/**
 * How often each rule of a policy applied, as numbers in rule order, so that a message between threads has no object per rule.
 * **In**: a policy's rules and their meters. **Out**: {@link RuleCounts}, which add up over workers. **Fails**: never.
 */
import type { MetersRead } from './meters.ts';

export interface RuleCounts {
  /** Of the policy whose rules are counted. */
  readonly revision: string;
  /** {@link FIELDS} numbers per rule. */
  readonly numbers: Float64Array<ArrayBuffer>;
}

export interface CountsOfRule {
  /** Calls that its match applied to. */
  readonly applied: number;
  readonly denied: number;
  /** Calls in which a part of it failed. */
  readonly failed: number;
  /** Calls that it would have refused if it were enforced. */
  readonly shadowDenied: number;
  /** When it last applied or failed, in milliseconds since 1970; `undefined`: never. */
  readonly lastAtMs: number | undefined;
}

const FIELDS = 5;
/** Of the last field; the others are summed. */
const LAST_AT = 4;

export function ruleCounts(
  { revision, rules }: { readonly revision: string; readonly rules: readonly { readonly name: string }[] },
  { rules: meters }: MetersRead,
): RuleCounts {
  const numbers = new Float64Array(rules.length * FIELDS);
  const beganAtMs = Date.now() - performance.now(); // now, since the system clock may have been set
  for (const [at, { name }] of rules.entries()) {
    const own = meters.get(name);
    if (own === undefined) continue;
    const { matched, denied, failed, shadow, lastAtMs } = own;
    numbers.set([matched, denied, failed, shadow, lastAtMs < 0 ? 0 : beganAtMs + lastAtMs], at * FIELDS);
  }
  return { revision, numbers };
}

/** Of those with the revision of the first; during a reload workers may differ. `undefined` if there are none. */
export function summedCounts(all: readonly RuleCounts[]): RuleCounts | undefined {
  const [first] = all;
  if (first === undefined) return undefined;
  const numbers = new Float64Array(first.numbers.length);
  for (const { revision, numbers: own } of all)
    if (revision === first.revision)
      for (const [at, value] of own.entries())
        numbers[at] =
          at % FIELDS === LAST_AT ? Math.max(numbers[at] as number, value) : (numbers[at] as number) + value;
  return { revision: first.revision, numbers };
}

/** What grows whenever a rule applies or fails: the counts without the times, as bytes. */
export function tallies({ numbers }: RuleCounts): Uint8Array {
  const counts = numbers.slice();
  for (let at = LAST_AT; at < counts.length; at += FIELDS) counts[at] = 0;
  return new Uint8Array(counts.buffer);
}

/** How many rules are counted. */
export const countedRules = ({ numbers }: RuleCounts): number => numbers.length / FIELDS;

/** `index`: the position of the rule in its policy. */
export function countsAt({ numbers }: RuleCounts, index: number): CountsOfRule {
  const [applied = 0, denied = 0, failed = 0, shadowDenied = 0, lastAtMs = 0] = numbers.subarray(
    index * FIELDS,
    (index + 1) * FIELDS,
  );
  return { applied, denied, failed, shadowDenied, lastAtMs: lastAtMs === 0 ? undefined : lastAtMs };
}
