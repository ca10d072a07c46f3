/**
 * What recorded calls use of a policy.
 * **In**: the calls that a replay decided, as an observer sees them. **Out**: counts by rule, host and limit. **Fails**: never.
 */
import { filledOf, RequestBag } from '../../attributes/bag.ts';
import type { Value } from '../../attributes/values.ts';
import type { DecidedCall } from '../../core/history/observers.ts';
import type { QuotaEntry, RuleOutcome } from '../../core/outcome.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Rule } from '../../core/rules/rule.ts';
import { readAll } from '../../explain/explanation.ts';

export class RuleUse {
  /** Calls that its match applied to. */
  matched = 0;
  /** Calls that it decided. */
  decided = 0;
  /** Calls that it would have refused or counted, had no earlier rule refused them; by the name of that rule. */
  readonly preempted = new Map<string, number>();
}

export class LimitUse {
  asks = 0;
  over = 0;
  /** The most that was used of a counter, and the limit of that ask. */
  maxUsed = 0;
  limit = 0;
}

export class HostUse {
  calls = 0;
  readonly methods = new Map<string, { calls: number; covered: number }>();
}

/** Hosts are chosen by clients. */
const MAX_HOSTS = 1000;
const MAX_METHODS = 20;
/** Outputs are looked for in this many calls; evaluating each rule again takes longer than deciding the call. */
const MAX_READ_CALLS = 10_000;

export class Coverage {
  readonly #policy: Policy;
  readonly #byName: ReadonlyMap<string, Rule>;
  readonly #enrich: readonly Rule[];
  readonly #quotas: readonly Rule[];
  readonly #slot: Readonly<Record<'host' | 'method', number | undefined>>;
  /** Slots of outputs of enrich rules that no rule has read. */
  readonly unread: Set<number>;
  readonly rules: ReadonlyMap<string, RuleUse>;
  readonly limits = new Map<string, LimitUse>();
  readonly hosts = new Map<string, HostUse>();
  readonly kinds = new Set<string>();
  calls = 0;
  /** Calls in which outputs were looked for. */
  readCalls = 0;
  /** Calls to hosts for which there was no room. */
  otherHosts = 0;

  constructor(policy: Policy) {
    this.#policy = policy;
    this.#byName = new Map(policy.rules.map((rule) => [rule.name, rule]));
    this.rules = new Map(policy.rules.map(({ name }) => [name, new RuleUse()]));
    this.#enrich = policy.rules.filter(({ action }) => action?.kind === 'enrich');
    this.#quotas = policy.rules.filter(({ action }) => action?.kind === 'quota');
    this.#slot = { host: policy.attributes.slotOf('request.host'), method: policy.attributes.slotOf('request.method') };
    this.unread = new Set(
      policy.enrich.flatMap(({ action }) => (action?.kind === 'enrich' ? action.outputs.map(({ slot }) => slot) : [])),
    );
  }

  /** An observer of the engine that replays the calls. */
  readonly add = (decided: DecidedCall): void => {
    const { bags, call, verdict, outcomes, quotas } = decided;
    this.calls++;
    this.kinds.add(call);
    const deciding = verdict.rule === undefined ? undefined : this.#byName.get(verdict.rule);
    for (const outcome of outcomes) this.#addOutcome(outcome, deciding);
    for (const quota of quotas) this.#addQuota(quota);
    const decider = verdict.rule === undefined ? undefined : this.rules.get(verdict.rule);
    if (decider !== undefined) decider.decided++;
    for (const bag of bags) {
      this.#addUnasked(bag, decided);
      if (this.unread.size > 0 && this.readCalls < MAX_READ_CALLS) this.#addReads(bag, decided);
    }
    if (call === 'http') this.#addHost(bags[0], outcomes);
  };

  #addOutcome({ prepared: { rule }, result }: RuleOutcome, deciding: Rule | undefined): void {
    const use = this.rules.get(rule.name);
    if (use === undefined) return;
    if (result.kind !== 'failed' || result.part !== 'match') use.matched++;
    const isRefusal = result.kind === 'refused' || result.kind === 'over';
    if (isRefusal && deciding !== undefined && deciding.index < rule.index) count(use.preempted, deciding.name);
  }

  #addQuota({ outcome: { prepared }, ask, answer }: QuotaEntry): void {
    // A replay grants each lease, since records have no end of a request.
    if (answer === undefined || ask.kind !== 'spend' || prepared.action.algorithm === 'concurrency') return;
    const { name } = prepared.rule;
    let use = this.limits.get(name);
    if (use === undefined) this.limits.set(name, (use = new LimitUse()));
    use.asks++;
    if (!answer.granted) use.over++;
    const limit = prepared.action.algorithm === 'gcra' ? ask.burst : answer.limit;
    const used = answer.granted ? Math.max(0, limit - answer.remaining) : limit;
    if (use.limit === 0 || used * use.limit > use.maxUsed * limit) Object.assign(use, { maxUsed: used, limit });
  }

  /** Rules that have no outcome: enrich rules, and quotas of calls that were refused before. Only while they never matched. */
  #addUnasked(bag: RequestBag, { call, verdict, quotas }: DecidedCall): void {
    for (const rule of this.#enrich) {
      const use = this.rules.get(rule.name);
      if (use?.matched === 0 && applies(rule, bag, call)) use.matched++;
    }
    if (verdict.outcome === 'allow' || verdict.rule === undefined || quotas.length > 0) return;
    for (const rule of this.#quotas) {
      const use = this.rules.get(rule.name);
      if (use?.matched === 0 && applies(rule, bag, call)) count(use.preempted, verdict.rule);
    }
  }

  #addReads(bag: RequestBag, { call }: DecidedCall): void {
    this.readCalls++;
    const reading = new ReadingBag(bag.attributes, bag.wire);
    for (const [slot, value] of filledOf(bag)) reading.fill(slot, value);
    // Report rules read what the check of the same request filled.
    for (const rule of this.#policy.rules)
      if (rule.action?.kind === 'report' || rule.calls.has(call)) readAll(rule, reading);
    for (const slot of reading.read) this.unread.delete(slot);
  }

  #addHost(bag: RequestBag | undefined, outcomes: readonly RuleOutcome[]): void {
    const [host, method] = [this.#slot.host, this.#slot.method].map((slot) =>
      slot === undefined ? undefined : bag?.get(slot),
    );
    if (typeof host !== 'string') return;
    let use = this.hosts.get(host);
    if (use === undefined) {
      if (this.hosts.size >= MAX_HOSTS) {
        this.otherHosts++;
        return;
      }
      this.hosts.set(host, (use = new HostUse()));
    }
    use.calls++;
    const name = typeof method === 'string' ? method : '-';
    let of = use.methods.get(name);
    if (of === undefined && use.methods.size < MAX_METHODS) use.methods.set(name, (of = { calls: 0, covered: 0 }));
    if (of === undefined) return;
    of.calls++;
    if (outcomes.some(({ prepared }) => prepared.action !== undefined)) of.covered++;
  }
}

/** Notes what is read, through named expressions as well. */
class ReadingBag extends RequestBag {
  readonly read = new Set<number>();

  override get(slot: number): Value | undefined {
    this.read.add(slot);
    return super.get(slot);
  }
}

/** A match that fails does not apply here, whatever the rule's onError says. */
const applies = (rule: Rule, bag: RequestBag, call: DecidedCall['call']): boolean =>
  (rule.calls as ReadonlySet<string>).has(call) && (rule.match === undefined || rule.match.evaluate(bag) === true);

const count = (counts: Map<string, number>, name: string): void => {
  counts.set(name, (counts.get(name) ?? 0) + 1);
};
