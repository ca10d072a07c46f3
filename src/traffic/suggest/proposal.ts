/**
 * Rules that allow what was observed, and limits near the observed rates.
 * **In**: observations. **Out**: a {@link Proposal}, the same for the same calls in any order. **Fails**: never.
 */
import { type Endpoint, MAX_CALLERS, type MethodCalls, Tally } from './evidence.ts';
import type { Grouping, Observations } from './observations.ts';
import type { Template } from './path-tree.ts';
import { type Allowed, CALLER, matchOf, NOUN, patternOf, templateText } from './rule-text.ts';

/** Evidence below this is marked as thin. */
const THIN_CALLS = 10;
/** Below this many counters the 99.9th percentile is their maximum. */
const THIN_WINDOWS = 1000;

export interface ProposalOptions {
  /** Of one caller to one place by one method. */
  readonly minCalls: number;
  /** A limit is this many times the observed rate. */
  readonly headroom: number;
}

export interface ProposedRule {
  readonly name: string;
  readonly host: string;
  readonly methods: readonly string[];
  /** `/users/{int}`. */
  readonly template: string;
  readonly match: string;
  /** `undefined`: any, or any with an identity; of these `''` has none. */
  readonly callers: readonly string[] | undefined;
  readonly calls: number;
  /** Of all calls that were read, from 0 to 1. */
  readonly share: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly examples: readonly string[];
  readonly warnings: readonly string[];
}

export interface ProposedLimit {
  readonly name: string;
  readonly host: string;
  readonly key: string;
  readonly limit: number;
  readonly windows: number;
  readonly clients: number;
  readonly p999: number;
  readonly max: number;
  readonly warnings: readonly string[];
}

export interface LeftOutCalls {
  readonly why: string;
  readonly calls: number;
  readonly examples: readonly string[];
}

export interface Proposal {
  readonly calls: number;
  readonly covered: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly groupBy: Grouping;
  /** Of calls without an identity of that kind alone, rules do not look at the caller, and limits count addresses. */
  readonly knowsCallers: boolean;
  readonly trustedHops: number | undefined;
  readonly windowMs: number;
  readonly headroom: number;
  /** Hosts with a rule. */
  readonly hosts: readonly string[];
  readonly rules: readonly ProposedRule[];
  readonly limits: readonly ProposedLimit[];
  readonly leftOut: readonly LeftOutCalls[];
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Once per observations. */
export function proposalOf(observed: Observations, { minCalls, headroom }: ProposalOptions): Proposal {
  const { groupBy, trustedHops, windowMs } = observed.options;
  const knowsCallers = observed.identified > 0;
  const names = new Names();
  const rules: ProposedRule[] = [];
  const leftOut: LeftOutCalls[] = [];
  for (const [host, tree] of [...observed.hosts].toSorted(([a], [b]) => byText(a, b))) {
    const templates = tree
      .templates()
      .map((template) => ({ ...template, text: templateText(template.segments) }))
      .toSorted((a, b) => byText(a.text, b.text) || byText(patternOf(a.segments), patternOf(b.segments)));
    for (const { segments, endpoint, text } of templates) {
      const rare: Group[] = [];
      for (const group of groupsOf(endpoint, minCalls, knowsCallers, rare)) {
        const where = { host, methods: group.methods, template: text };
        rules.push({
          ...where,
          name: names.unique([host, ...(group.methods.length > 2 ? [] : group.methods), text].join(' ')),
          match: matchOf(host, group, segments, groupBy),
          callers: group.callers,
          calls: group.tally.calls,
          share: group.tally.calls / observed.all.calls,
          firstMs: group.tally.firstMs,
          lastMs: group.tally.lastMs,
          examples: segments.every(({ isConstant }) => isConstant) ? [] : endpoint.examples.texts,
          warnings: warningsOf(group, { segments, endpoint }, groupBy, knowsCallers),
        });
      }
      for (const { methods, callers, tally } of rare)
        leftOut.push({
          why: `fewer than ${minCalls} calls`,
          calls: tally.calls,
          examples: [`${methods.join(', ')} ${host}${text}${callers?.[0] ? ` by ${callers[0]}` : ''}`],
        });
    }
  }
  const hosts = [...new Set(rules.map(({ host }) => host))];
  return {
    calls: observed.all.calls,
    covered: rules.reduce((sum, { calls }) => sum + calls, 0),
    firstMs: observed.all.firstMs,
    lastMs: observed.all.lastMs,
    groupBy,
    knowsCallers,
    trustedHops,
    windowMs,
    headroom,
    hosts,
    rules,
    limits: limitsOf(observed, hosts, knowsCallers ? CALLER[groupBy] : CALLER.address, headroom, names),
    leftOut: [
      ...[...observed.leftOut].map(([why, { calls, examples }]) => ({ why, calls, examples: examples.texts })),
      ...joinedRare(leftOut),
    ].toSorted((a, b) => b.calls - a.calls || byText(a.why, b.why)),
  };
}

/** Methods of one endpoint with the same callers become one rule. */
interface Group extends Allowed {
  readonly methods: string[];
  readonly tally: Tally;
}

function groupsOf({ methods }: Endpoint, minCalls: number, knowsCallers: boolean, rare: Group[]): Group[] {
  const groups = new Map<string, Group>();
  for (const [method, calls] of [...methods].toSorted(([a], [b]) => byText(a, b))) {
    const tally = new Tally();
    const callers = oftenBy(calls, knowsCallers, minCalls, tally, (caller, few) =>
      rare.push({
        methods: [method],
        callers: caller === '' ? undefined : [caller],
        needsIdentity: false,
        tally: few,
      }),
    );
    if (tally.calls === 0) continue;
    const needsIdentity = knowsCallers && callers === undefined && calls.anonymous === 0;
    const key = JSON.stringify([callers ?? null, needsIdentity]);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { methods: [method], callers, needsIdentity, tally });
    else {
      known.methods.push(method);
      known.tally.join(tally);
    }
  }
  return [...groups.values()];
}

/** The callers with enough calls, which `tally` then has; `undefined`: any. */
function oftenBy(
  { all, callers }: MethodCalls,
  knowsCallers: boolean,
  minCalls: number,
  tally: Tally,
  onRare: (caller: string, tally: Tally) => void,
): readonly string[] | undefined {
  if (callers === undefined || !knowsCallers) {
    if (all.calls >= minCalls) tally.join(all);
    else onRare('', all);
    return undefined;
  }
  const often: string[] = [];
  for (const [caller, own] of [...callers].toSorted(([a], [b]) => byText(a, b))) {
    if (own.calls < minCalls) onRare(caller, own);
    else {
      often.push(caller);
      tally.join(own);
    }
  }
  return often;
}

function warningsOf(
  { callers, needsIdentity, tally }: Group,
  { segments }: Template,
  groupBy: Grouping,
  knowsCallers: boolean,
): string[] {
  const warnings: string[] = [];
  const wide = segments.filter(({ isWide }) => isWide);
  for (const { pattern, except } of wide)
    warnings.push(
      `wide: {text} is any text like ${pattern}, also values that were never asked for${except.length > 0 ? `, but not ${except.join(', ')}` : ''}`,
    );
  if (tally.calls < THIN_CALLS) warnings.push(`thin: only ${tally.calls} ${tally.calls === 1 ? 'call' : 'calls'}`);
  else if (knowsCallers && callers?.length === 1 && tally.lastMs - tally.firstMs < 60_000)
    warnings.push('thin: all calls within a minute by one caller');
  if (knowsCallers && callers === undefined)
    warnings.push(
      `wide: more than ${MAX_CALLERS} callers; any caller${needsIdentity ? ` with ${NOUN[groupBy]}` : ''} is allowed`,
    );
  if (knowsCallers && callers?.includes('') === true) warnings.push(`callers without ${NOUN[groupBy]} are allowed`);
  return warnings;
}

function limitsOf(
  observed: Observations,
  hosts: readonly string[],
  key: string,
  headroom: number,
  names: Names,
): ProposedLimit[] {
  const observedRates = observed.identified > 0 ? observed.rates : observed.ratesOfAddresses;
  const rates = observedRates.byHost();
  const { keptShare } = observedRates;
  return hosts.flatMap((host) => {
    const rate = rates.get(host);
    if (rate === undefined) return [];
    const limit = roundedUp(rate.p999 * headroom);
    const warnings: string[] = [];
    if (rate.windows < THIN_WINDOWS)
      warnings.push(`thin: of ${rate.windows} counters the 99.9th percentile is the maximum`);
    if (limit < rate.max) warnings.push(`the observed maximum is over the limit`);
    if (keptShare < 1) warnings.push(`measured on ${percentText(keptShare)} of the counters, chosen by a hash`);
    return [{ name: names.unique(`${host} limit`), host, key, limit, ...rate, warnings }];
  });
}

export const percentText = (share: number): string =>
  share > 0 && share < 0.001 ? 'less than 0.1 %' : `${Math.round(share * 1000) / 10} %`;

/** To two digits: 2408 is 2500. */
function roundedUp(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1);
  return Math.ceil(value / unit) * unit;
}

/** Of one reason, with its first examples. */
function joinedRare(rare: readonly LeftOutCalls[]): LeftOutCalls[] {
  const [first] = rare;
  if (first === undefined) return [];
  return [
    {
      why: first.why,
      calls: rare.reduce((sum, { calls }) => sum + calls, 0),
      examples: rare
        .flatMap(({ examples }) => examples)
        .toSorted()
        .slice(0, 20),
    },
  ];
}

/** Names of rules: lower case with hyphens, unique. */
class Names {
  readonly #used = new Set(['plain-paths-only', 'observed-only']);

  unique(text: string): string {
    const slug =
      text
        .toLowerCase()
        .replaceAll(/[^a-z0-9]+/g, '-')
        .slice(0, 80)
        .replaceAll(/^-+|-+$/g, '') || 'rule';
    let name = slug;
    for (let number = 2; this.#used.has(name); number++) name = `${slug}-${number}`;
    this.#used.add(name);
    return name;
  }
}
