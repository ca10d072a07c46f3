/**
 * What a policy needs of Envoy.
 * **In**: a loaded policy, and files of `sluice ratelimit`. **Out**: {@link Needs}: each part of Envoy's configuration that is needed,
 * with the rules that need it. **Fails**: never.
 */
import type { AttributeRead, Attributes } from '../attributes/attributes.ts';
import type { RuleCall } from '../attributes/carrier.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Rule } from '../core/rules/rule.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { attributeNeeds, type Part } from './attribute-needs.ts';
import { asksLimits, type DescriptorNeed, descriptorsOfRule, merged } from './descriptors.ts';
import { expressionsOf } from './rule-expressions.ts';

/** Names of rules, in the order of the policy. */
export type Why = readonly string[];

/** A handler whose configured deadline is longer than Envoy's default timeout may be. */
export interface SlowHandler {
  readonly rule: string;
  readonly handler: string;
  readonly deadlineMs: number;
}

/** Needed parts by name, such as `http body` or `log request-header x-user`, each with the rules that need it. */
export class Needs {
  readonly settings: Attributes['settings'];
  descriptors: readonly DescriptorNeed[] = [];
  readonly slowHandlers: SlowHandler[] = [];
  /** The largest size of a body that a rule compares with, in bytes. */
  bodyBytes: number | undefined;
  readonly #why = new Map<string, Map<string, Set<string>>>();

  constructor(settings: Attributes['settings']) {
    this.settings = settings;
  }

  add(kind: string, rule: string, name = ''): void {
    const names = this.#why.get(kind) ?? new Map<string, Set<string>>();
    this.#why.set(kind, names);
    const rules = names.get(name) ?? new Set<string>();
    names.set(name, rules);
    rules.add(rule);
  }

  has(kind: string, name?: string): boolean {
    const names = this.#why.get(kind);
    return names !== undefined && (name === undefined || names.has(name));
  }

  /** Of one name, or of all names of the kind. */
  why(kind: string, name?: string): Why {
    const names = this.#why.get(kind);
    if (names === undefined) return [];
    return name === undefined
      ? [...new Set([...names.values()].flatMap((rules) => [...rules]))]
      : [...(names.get(name) ?? [])];
  }

  /** Names that rules read with a guard or without one. */
  anyNames(kind: string): readonly string[] {
    return [...new Set([...this.names(kind), ...this.names(`${kind}-if-any`)])].toSorted();
  }

  anyWhy(kind: string, name?: string): Why {
    return [...new Set([...this.why(kind, name), ...this.why(`${kind}-if-any`, name)])];
  }

  /** Sorted, so that output does not depend on the order of rules. */
  names(kind: string): readonly string[] {
    return [...(this.#why.get(kind)?.keys() ?? [])].toSorted();
  }
}

/** Which part of Envoy's configuration sends a call. Calls of OpenTelemetry and AuthZEN are not Envoy's. */
const PART_OF: Partial<Readonly<Record<RuleCall, Part>>> = {
  http: 'http',
  tcp: 'tcp',
  limit: 'limit',
  log: 'log',
  'log-interim': 'log',
  'tcp-log': 'tcp-log',
  'tcp-log-interim': 'tcp-log',
};

/** `limits`: descriptors of files of `sluice ratelimit`. */
export async function needsOf(policy: Policy | undefined, limits: readonly DescriptorNeed[] = []): Promise<Needs> {
  const settings = policy?.attributes.settings ?? NO_SETTINGS;
  const needs = new Needs(settings);
  const ofRules = policy === undefined ? [] : await new Collector(policy, needs).collect();
  needs.descriptors = merged([...ofRules, ...limits]);
  for (const { rules } of limits) for (const rule of rules) needs.add('limit', rule);
  return needs;
}

const NO_SETTINGS: Attributes['settings'] = {
  trustedHops: undefined,
  trustedCertificateHops: undefined,
  trustDomainAliases: new Map(),
  path: 'NONE',
  pathParameters: 'keep',
};

class Collector {
  readonly #policy: Policy;
  readonly #needs: Needs;
  readonly #enrichOf = new Map<string, Rule>();
  /** Named expressions and enrich rules that were followed for the call of a rule; 2^n ways may lead to one. */
  readonly #followed = new Set<string>();

  constructor(policy: Policy, needs: Needs) {
    this.#policy = policy;
    this.#needs = needs;
    for (const rule of policy.enrich)
      if (rule.action?.kind === 'enrich')
        for (const { slot } of rule.action.outputs) this.#enrichOf.set(policy.attributes.at(slot).name, rule);
  }

  /** In slices, since a server shows it for a policy of any size. */
  async collect(): Promise<readonly DescriptorNeed[]> {
    const slice = new TimeSlice();
    const descriptors: DescriptorNeed[] = [];
    for (const rule of this.#policy.rules) {
      if (slice.isOver) await slice.next();
      if (rule.action?.kind === 'enrich') continue; // it is asked for its outputs alone
      if (asksLimits(rule)) descriptors.push(...descriptorsOfRule(rule, this.#policy));
      this.#calls(rule);
      this.#changes(rule);
      for (const call of rule.calls) this.#reads(rule, call);
    }
    return descriptors;
  }

  /** A rule that answers both kinds needs no TCP listener: most rules on addresses and certificates are meant for HTTP. */
  #calls(rule: Rule): void {
    const needs = this.#needs;
    const { name, calls, action } = rule;
    if (calls.has('http') || calls.has('decision')) needs.add('http', name);
    if (calls.has('tcp')) needs.add(calls.has('http') ? 'also-tcp' : 'tcp', name);
    if (asksLimits(rule)) needs.add('limit', name);
    if (calls.has('log') || calls.has('log-interim')) needs.add('log', name);
    if (calls.has('tcp-log')) needs.add(calls.has('log') ? 'also-tcp-log' : 'tcp-log', name);
    if (calls.has('tcp-log-interim') && !calls.has('tcp-log')) needs.add('tcp-log', name);
    if (calls.has('log-interim')) needs.add('log interim', name);
    if (calls.has('tcp-log-interim')) needs.add('tcp-log interim', name);
    if (calls.has('envoy-metric')) needs.add('metrics', name);
    const handler = action?.handler === undefined ? undefined : this.#policy.handlers.get(action.handler);
    const waits = action?.kind === 'check' || action?.kind === 'allow' || action?.kind === 'quota';
    if (handler?.deadlineMs !== undefined && waits && calls.has('http'))
      needs.slowHandlers.push({ rule: name, handler: handler.name, deadlineMs: handler.deadlineMs });
  }

  #changes({ name, calls, onAllow }: Rule): void {
    if (onAllow === undefined || !calls.has('http')) return;
    const { request, response, query } = onAllow;
    for (const [header] of [...request.set, ...request.append]) this.#needs.add('http request-change', name, header);
    for (const header of request.remove) this.#needs.add('http request-change', name, header);
    for (const [header] of [...response.set, ...response.append]) this.#needs.add('http response-change', name, header);
    if (query.set.length + query.remove.length > 0) this.#needs.add('http query-change', name);
  }

  #reads(rule: Rule, call: RuleCall): void {
    this.#followed.clear();
    for (const { source, reads } of expressionsOf(rule)) {
      for (const read of reads) this.#read(read, source, rule.name, call);
      if (call === 'http') this.#bodySize(source);
    }
  }

  #read(read: AttributeRead, source: string, rule: string, call: RuleCall): void {
    const { attributes } = this.#policy;
    const slot = attributes.slotOf(read.name);
    if (slot === undefined) return; // out.*
    const attribute = attributes.at(slot);
    if (attribute.source.kind === 'is') {
      const { text, reads } = attribute.source;
      if (!this.#isFirst(`${slot} ${read.guarded}`)) return;
      for (const inner of reads) this.#read({ ...inner, guarded: inner.guarded || read.guarded }, text, rule, call);
      return;
    }
    if (attribute.source.kind === 'filled') {
      const enrich = this.#enrichOf.get(read.name);
      if (enrich === undefined || !enrich.calls.has(call) || !this.#isFirst(`rule ${enrich.index}`)) return;
      for (const one of expressionsOf(enrich)) for (const below of one.reads) this.#read(below, one.source, rule, call);
      return;
    }
    for (const part of partsOf(call))
      for (const { kind, name } of attributeNeeds(attribute, read, part, { source, settings: attributes.settings }))
        this.#needs.add(kind, rule, name);
  }

  #isFirst(step: string): boolean {
    const isNew = !this.#followed.has(step);
    this.#followed.add(step);
    return isNew;
  }

  #bodySize(source: string): void {
    for (const [, bytes] of source.matchAll(SIZE_COMPARED))
      this.#needs.bodyBytes = Math.max(this.#needs.bodyBytes ?? 0, Number(bytes));
  }
}

/** A decision carries what its call carried. */
const partsOf = (call: RuleCall): readonly Part[] =>
  call === 'decision' ? ['http'] : [PART_OF[call]].filter((part) => part !== undefined);

/** `request.size > 65536`, `size(request.body) <= 1024`. */
const SIZE_COMPARED =
  /(?:request\.size|size\(request\.(?:raw_)?body\)|request\.(?:raw_)?body\.size\(\))\s*[<>]=?\s*(\d+)/g;
