/**
 * Which calls ask a rule (docs/rules.md, section 4).
 * **In**: the rule's `calls`, its kind, and its reads. **Out**: a set of calls, one object for all rules with equal sets.
 * **Fails**: with findings.
 */
import { RULE_CALLS, type RuleCall } from '../../../attributes/carrier.ts';
import type { Read } from '../../../expression/index.ts';
import { ACTIONS, type RuleKind } from '../../actions.ts';
import type { Carriage } from '../carriage.ts';
import { type Fields, listOfNodes } from '../../../yaml/fields.ts';
import type { Changes } from '../rule.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { type Node, nodeText } from '../../../yaml/nodes.ts';

export class CallSets {
  readonly #carriage: Carriage;
  readonly #findings: Findings;
  readonly #sets = new Map<string, ReadonlySet<RuleCall>>();

  constructor(carriage: Carriage, findings: Findings) {
    this.#carriage = carriage;
    this.#findings = findings;
  }

  of(fields: Fields, kind: RuleKind, reads: readonly Read[], onAllow: Changes | undefined): ReadonlySet<RuleCall> {
    const node = fields.node('calls');
    return this.#shared(
      node === undefined ? this.#byDefault(fields, kind, reads, onAllow) : this.#named(node, kind, reads),
    );
  }

  #byDefault(fields: Fields, kind: RuleKind, reads: readonly Read[], onAllow: Changes | undefined): RuleCall[] {
    const { calls: possible } = ACTIONS[kind];
    const isOfLimits = [...this.#carriage.through(reads)].some((name) => name.startsWith('ratelimit.'));
    const candidates = RULE_CALLS.filter(
      (call) =>
        possible[call] === 'default' &&
        !(kind === 'quota' && call === 'limit' && !isOfLimits) &&
        !(kind === 'none' && call === 'tcp' && (onAllow?.metadata.length ?? 0) === 0) &&
        // A request that both filters ask about would get the headers twice.
        !(kind === 'none' && call === 'limit' && !(isOfLimits && hasResponse(onAllow))),
    );
    const calls = candidates.filter((call) => this.#carriage.missing(reads, call) === undefined);
    if (calls.length === 0 && candidates.length > 0) {
      const missing = [
        ...new Set(candidates.map((call) => `${call} cannot carry ${this.#carriage.missing(reads, call) ?? ''}`)),
      ];
      this.#findings.error(
        'RULES_CALLS',
        fields.place,
        `no call carries what this rule reads: ${missing.join(', ')}; set calls: [...], or guard the read with has() or [?...]`,
      );
    }
    return calls;
  }

  #named(node: Node, kind: RuleKind, reads: readonly Read[]): RuleCall[] {
    const { calls: possible } = ACTIONS[kind];
    return (listOfNodes(node, 'calls', this.#findings)?.items ?? []).flatMap((item) => {
      const call = RULE_CALLS.find((known) => item.kind === 'scalar' && item.value === known);
      if (call === undefined) {
        this.#findings.error(
          'RULES_VALUE',
          item.place,
          `calls must be some of ${RULE_CALLS.join(', ')}; found ${nodeText(item)}`,
        );
        return [];
      }
      if (possible[call] === undefined)
        this.#findings.error(
          'RULES_CALLS',
          item.place,
          `a rule with ${kind === 'none' ? 'onAllow only' : kind} is not asked in ${call} calls, only in ${Object.keys(possible).join(', ')}`,
        );
      const missing = this.#carriage.missing(reads, call);
      if (missing !== undefined)
        this.#findings.error(
          'RULES_CALLS',
          item.place,
          `${call} calls cannot carry ${missing}, which the rule reads; remove ${call}, or guard the read: has(${missing}) && ...`,
        );
      return [call];
    });
  }

  #shared(calls: readonly RuleCall[]): ReadonlySet<RuleCall> {
    const key = calls.join();
    let set = this.#sets.get(key);
    if (set === undefined) this.#sets.set(key, (set = new Set(calls)));
    return set;
  }
}

const hasResponse = (onAllow: Changes | undefined): boolean =>
  onAllow !== undefined &&
  onAllow.response.set.length + onAllow.response.append.length + onAllow.response.remove.length > 0;
