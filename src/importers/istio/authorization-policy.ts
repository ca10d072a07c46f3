/**
 * AuthorizationPolicy (security.istio.io/v1, v1beta1).
 * **In**: objects of all documents. **Out**: rules, in Istio's order: CUSTOM, DENY, the deny of what no ALLOW policy allows, ALLOW, AUDIT.
 * **Fails**: with findings; a policy with an error has no rules.
 */
import type { TimeSlice } from '../../time/time-slice.ts';
import { fieldsOf, type Fields } from '../../yaml/fields.ts';
import type { Node, Place } from '../../yaml/nodes.ts';
import { operationTests, sourceTests, whenTests } from './conditions.ts';
import { mapNode, type Plain } from './nodes.ts';
import { type IstioObject, isNothing, itemsOf, report, selection, type Translation } from './object.ts';
import { allOf, anyOfAll, type Test } from './tests.ts';

type Calls = 'http' | 'tcp';

/** Any of `from`, any of `to`, and all of `when`; an empty list is met by any call. */
interface PolicyRule {
  readonly place: Place;
  readonly from: readonly (readonly Test[])[];
  readonly to: readonly (readonly Test[])[];
  readonly when: readonly Test[];
}

export interface RulesOfPolicies {
  readonly custom: Node[];
  readonly deny: Node[];
  readonly unlessAllowed: Node[];
  readonly allow: Node[];
  readonly audit: Node[];
}

const ALLOWED = 'istio';
/** A boolean of an annotation, as Go's strconv.ParseBool reads it. */
const TRUE = /^(1|t|T|true|True|TRUE)$/;
const FALSE = /^(0|f|F|false|False|FALSE)$/;
/** ALLOW policies that are tried out allow among themselves. */
const ALLOWED_IN_DRY_RUN = 'istio-dry-run';

export class AuthorizationPolicies {
  readonly rules: RulesOfPolicies = { custom: [], deny: [], unlessAllowed: [], allow: [], audit: [] };
  readonly #translation: Translation;
  /** Selections of workloads that ALLOW policies have closed, by group. */
  readonly #closed = new Set<string>();
  /** Groups with rules. A deny that waits for a group needs a rule of it, though it allow nothing. */
  readonly #allowing = new Set<string>();
  readonly #allowingNothing = new Map<string, PolicyWriter>();
  /** CEL of all selections. */
  readonly selections: Set<string> = new Set();
  /** The first ALLOW or DENY policy in force for each selection of workloads; `undefined`: all workloads. */
  readonly deciding: Map<string | undefined, IstioObject> = new Map();

  constructor(translation: Translation) {
    this.#translation = translation;
  }

  async add(object: IstioObject, slice: TimeSlice): Promise<void> {
    const { findings } = this.#translation;
    const { spec, annotations, place } = object;
    spec.only(['selector', 'targetRef', 'targetRefs', 'rules', 'action', 'provider']);
    const action = spec.has('action') ? spec.word('action', ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']) : 'ALLOW';
    const selected = selection(object, this.#translation);
    if (selected !== undefined) this.selections.add(selected);
    const rules = await this.#rulesOf(object, slice);
    if (action === undefined) return;
    const written = annotations.get('istio.io/dry-run');
    const isDryRun = written !== undefined && TRUE.test(written);
    if (written !== undefined && !isDryRun && !FALSE.test(written))
      report(
        findings,
        'ISTIO_VALUE',
        place,
        `the annotation istio.io/dry-run is ${JSON.stringify(written)}; expected "true" or "false"`,
      );
    if (action !== 'CUSTOM' && spec.has('provider'))
      report(
        findings,
        'ISTIO_VALUE',
        spec.node('provider')?.place ?? place,
        `a provider is for CUSTOM, not for ${action}`,
      );
    if (rules.length === 0 && action !== 'ALLOW')
      report(findings, 'ISTIO_NEVER', place, `${object.name} has no rules, so this ${action} policy never applies`);
    const policy = new PolicyWriter(object, selected, isDryRun);
    if ((action === 'ALLOW' || action === 'DENY') && !policy.isDryRun && !this.deciding.has(selected))
      this.deciding.set(selected, object);
    switch (action) {
      case 'ALLOW':
        return this.#allow(policy, rules, slice);
      case 'DENY':
        return policy.each(rules, 'wider', slice, (rule) => this.rules.deny.push(rule({ deny: { status: 403 } })));
      case 'AUDIT':
        return policy.each(rules, 'wider', slice, (rule, id) =>
          this.rules.audit.push(rule({ onAllow: { metadata: { istio_audit: id } } })),
        );
      case 'CUSTOM':
        return this.#custom(object, policy, rules, slice);
    }
  }

  /** After all policies. */
  end(): void {
    for (const [group, policy] of this.#allowingNothing)
      if (!this.#allowing.has(group)) this.rules.allow.push(policy.nothing(group));
  }

  async #allow(policy: PolicyWriter, rules: readonly PolicyRule[], slice: TimeSlice): Promise<void> {
    const group = policy.isDryRun ? ALLOWED_IN_DRY_RUN : ALLOWED;
    await policy.each(rules, 'narrower', slice, (rule) => this.rules.allow.push(rule({ allow: group })));
    if (rules.length === 0) this.#allowingNothing.set(group, policy);
    else this.#allowing.add(group);
    const key = `${group} ${policy.selected ?? ''}`;
    if (this.#closed.has(key)) return;
    this.#closed.add(key);
    this.rules.unlessAllowed.push(policy.whole({ deny: { status: 403, unlessAllowed: group } }));
  }

  async #custom(
    object: IstioObject,
    policy: PolicyWriter,
    rules: readonly PolicyRule[],
    slice: TimeSlice,
  ): Promise<void> {
    const { findings, settings, handlers, isLenient } = this.#translation;
    const provider = object.spec.map('provider', 'provider')?.only(['name']);
    const name = provider?.text('name');
    if (name === undefined) {
      report(
        findings,
        'ISTIO_PROVIDER',
        object.place,
        `${object.name} is CUSTOM, which needs provider: { name: NAME }`,
      );
      return;
    }
    const check = settings.providers.get(name) ?? (handlers.has(name) ? { handler: name } : undefined);
    const place = provider?.node('name')?.place ?? object.place;
    if (check === undefined) {
      const message = `no handler and no provider of settings.istio is named ${name}`;
      if (!isLenient) {
        report(findings, 'ISTIO_PROVIDER', place, `${message}; declare one that serves check`);
        return;
      }
      findings.add('warning', 'ISTIO_PROVIDER', place, `${message}; calls of ${object.name} are denied`);
    }
    await policy.each(rules, 'wider', slice, (rule) =>
      this.rules.custom.push(rule(check === undefined ? { deny: { status: 403 } } : { check })),
    );
  }

  async #rulesOf({ spec, namespace }: IstioObject, slice: TimeSlice): Promise<readonly PolicyRule[]> {
    const context = { namespace, translation: this.#translation };
    const { findings } = this.#translation;
    const parts = (of: Fields, key: 'from' | 'to', inner: string, read: (fields: Fields) => Test[]): Test[][] => {
      const listed = itemsOf(of, key, findings);
      const node = of.node(key);
      // Nothing in it is met by any call, which whoever lost the items of a list did not mean.
      if (node !== undefined && listed.length === 0 && (node.kind === 'list' || isNothing(node)))
        report(
          findings,
          'ISTIO_VALUE',
          node.place,
          `${key} is empty, which any call meets; name ${key === 'to' ? 'an' : 'a'} ${inner}, or remove ${key}`,
        );
      return listed.map((item) => {
        const fields = fieldsOf(item, `an item of ${key}`, findings)?.only([inner]);
        fields?.required(inner, `the fields of ${key}`);
        const inside = fields?.map(inner, `${key}.${inner}`);
        return inside === undefined ? [] : read(inside);
      });
    };
    const rules: PolicyRule[] = [];
    for (const item of itemsOf(spec, 'rules', findings)) {
      if (isNothing(item))
        report(findings, 'ISTIO_VALUE', item.place, 'a rule is nothing; write {} for a rule that any call meets');
      const fields = isNothing(item) ? undefined : fieldsOf(item, 'a rule', findings)?.only(['from', 'to', 'when']);
      const when = fields === undefined ? [] : itemsOf(fields, 'when', findings);
      rules.push({
        place: item.place,
        from: fields === undefined ? [] : parts(fields, 'from', 'source', (source) => sourceTests(source, context)),
        to:
          fields === undefined
            ? []
            : parts(fields, 'to', 'operation', (operation) => operationTests(operation, context)),
        when: when.flatMap((one) => {
          const condition = fieldsOf(one, 'a condition', findings);
          return condition === undefined ? [] : whenTests(condition, context);
        }),
      });
      if (slice.isOver) await slice.next();
    }
    return rules;
  }
}

type Rule = (action: Readonly<Record<string, Plain | Node>>) => Node;

/** Writes the rules of one policy under Istio's policy ids. */
class PolicyWriter {
  readonly selected: string | undefined;
  readonly isDryRun: boolean;
  readonly #id: string;
  readonly #place: Place;

  constructor({ namespace, name, place }: IstioObject, selected: string | undefined, isDryRun: boolean) {
    this.selected = selected;
    this.isDryRun = isDryRun;
    this.#id = `ns[${namespace}]-policy[${name}]`;
    this.#place = place;
  }

  /** Calls `write` with each rule. `tcp`: what a rule means on a connection, where it has tests that need HTTP. */
  async each(
    rules: readonly PolicyRule[],
    tcp: 'wider' | 'narrower',
    slice: TimeSlice,
    write: (rule: Rule, id: string) => void,
  ): Promise<void> {
    for (const [index, rule] of rules.entries()) {
      const id = `${this.#id}-rule[${index}]`;
      const needsHttp = [...rule.from.flat(), ...rule.to.flat(), ...rule.when].some((test) => test.needsHttp);
      const both: Calls[] = ['http', 'tcp'];
      write(this.#rule(id, this.#matchOf(rule, false), needsHttp ? ['http'] : both, rule.place), id);
      if (needsHttp && tcp === 'wider')
        write(this.#rule(`${id}-tcp`, this.#matchOf(rule, true), ['tcp'], rule.place), id);
      if (slice.isOver) await slice.next();
    }
  }

  /** A rule about all workloads of the policy. */
  whole(action: Readonly<Record<string, Plain>>): Node {
    return this.#rule(this.#id, this.selected, ['http', 'tcp'], this.#place)(action);
  }

  /** An allow rule that allows nothing. */
  nothing(group: string): Node {
    return this.#rule(`${this.#id}-nothing`, 'false', ['http', 'tcp'], this.#place)({ allow: group });
  }

  #matchOf({ from, to, when }: PolicyRule, isTcp: boolean): string | undefined {
    const kept = (tests: readonly Test[]): string[] =>
      tests.filter(({ needsHttp }) => !isTcp || !needsHttp).map(({ cel }) => cel);
    const parts = [
      ...(this.selected === undefined ? [] : [this.selected]),
      ...anyOfAll(from.map(kept)),
      ...anyOfAll(to.map(kept)),
      ...kept(when),
    ];
    return parts.length === 0 ? undefined : allOf(parts);
  }

  #rule(name: string, match: string | undefined, calls: readonly Calls[], place: Place): Rule {
    return (action) => mapNode({ name, match, calls, ...action, mode: this.isDryRun ? 'shadow' : undefined }, place);
  }
}
