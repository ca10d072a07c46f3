/**
 * The rule that says how calls reach a host.
 * **In**: the mesh, and a member that calls. **Out**: a DestinationRule by host. **Fails**: never.
 */
import { isDeepStrictEqual } from 'node:util';
import { hasLabels, type Mesh, type MeshSettings } from '../model/mesh.ts';
import type { DestinationRule } from '../rules/destination-rule.ts';
import type { MeshObject } from '../sources/objects.ts';
import { bySpecificity, completeHost, covers } from './hosts.ts';
import type { Member } from './proxy.ts';

type Rule = MeshObject<'DestinationRule'>;

/** Of one namespace, by complete host. */
interface RulesByHost {
  readonly exact: ReadonlyMap<string, readonly Rule[]>;
  /** The most specific first. */
  readonly wild: readonly (readonly [string, readonly Rule[]])[];
}

/** By list of rules, of which a mesh that changed elsewhere has the same. */
const known = new WeakMap<
  readonly Rule[],
  { readonly domain: string; readonly byNamespace: ReadonlyMap<string, RulesByHost> }
>();

function rulesByNamespace({ rules, settings: { domain } }: Mesh): ReadonlyMap<string, RulesByHost> {
  let index = known.get(rules.DestinationRule);
  if (index?.domain !== domain) {
    const byNamespace = Map.groupBy(rules.DestinationRule, ({ origin }) => origin.namespace);
    index = {
      domain,
      byNamespace: new Map([...byNamespace].map(([namespace, own]) => [namespace, rulesByHost(own, domain)])),
    };
    known.set(rules.DestinationRule, index);
  }
  return index.byNamespace;
}

function rulesByHost(rules: readonly Rule[], domain: string): RulesByHost {
  const byHost = Map.groupBy(rules, ({ origin, spec }) => completeHost(spec.host, origin.namespace, domain));
  const wild = [...byHost].filter(([host]) => host.startsWith('*'));
  return { exact: byHost, wild: wild.toSorted(([a], [b]) => bySpecificity(a, b)) };
}

/**
 * Looked for in the namespace of the client, then of the service, then in the root namespace. Rules that select workloads are for the calls
 * that these make, not for those that they get.
 */
export function destinationRules(
  mesh: Mesh,
  member: Member,
  direction: 'outbound' | 'inbound',
): (host: string) => Rule | undefined {
  const { services, settings } = mesh;
  const byNamespace = rulesByNamespace(mesh);
  const found = new Map<string, Rule | undefined>();
  const visible = (rules: readonly Rule[]): readonly Rule[] => {
    const all = rules.filter(
      (rule) => isVisible(rule, member, settings) && (direction === 'outbound' || !isSelecting(rule)),
    );
    // Those that select the member go before others, and the first selector alone counts.
    const selector = all.find(isSelecting)?.spec.workloadSelector;
    return selector === undefined
      ? all
      : [
          ...all.filter(({ spec }) => isDeepStrictEqual(spec.workloadSelector, selector)),
          ...all.filter((rule) => !isSelecting(rule)),
        ];
  };
  const look = (host: string): Rule | undefined => {
    for (const namespace of new Set([member.namespace, services.get(host)?.namespace, settings.rootNamespace])) {
      const own = namespace === undefined ? undefined : byNamespace.get(namespace);
      if (own === undefined) continue;
      const exact = visible(own.exact.get(host) ?? []);
      if (exact.length > 0) return united(exact);
      for (const [pattern, rules] of own.wild) {
        const covering = covers(pattern, host) ? visible(rules) : [];
        if (covering.length > 0) return united(covering);
      }
    }
    return undefined;
  };
  return (host) => {
    if (!found.has(host)) found.set(host, look(host));
    return found.get(host);
  };
}

const isSelecting = ({ spec }: Rule): boolean => spec.workloadSelector !== undefined;

/** One that selects workloads holds in its own namespace alone. */
export const isVisible = ({ origin, spec }: Rule, member: Member, { exportTo }: MeshSettings): boolean =>
  spec.workloadSelector === undefined
    ? origin.namespace === member.namespace ||
      isExported(spec.exportTo ?? exportTo?.destinationRule, origin.namespace, member)
    : origin.namespace === member.namespace && hasLabels(member.labels, spec.workloadSelector.matchLabels);

/** `exportTo` of an object in `namespace`: whether a member sees it; `undefined`: all do. */
export const isExported = (
  exportTo: readonly string[] | undefined,
  namespace: string,
  member: Pick<Member, 'namespace'>,
): boolean =>
  exportTo === undefined || exportTo.some((to) => to === '*' || (to === '.' ? namespace : to) === member.namespace);

/** What several rules come to, by the rules one after the other. */
interface Unions {
  readonly next: WeakMap<Rule, Unions>;
  union?: Rule;
}
const unions: Unions = { next: new WeakMap() };

/**
 * Several for one host: their subsets together, the first of a name, and the traffic policy of the first that has one. The same value for the
 * same rules, since what is made of a rule is kept by its identity.
 */
function united(rules: readonly Rule[]): Rule | undefined {
  const [first] = rules;
  if (first === undefined || rules.length === 1) return first;
  let known = unions;
  for (const rule of rules) {
    const next = known.next.get(rule) ?? { next: new WeakMap<Rule, Unions>() };
    known.next.set(rule, next);
    known = next;
  }
  return (known.union ??= unionOf(first, rules));
}

function unionOf(first: Rule, rules: readonly Rule[]): Rule {
  const subsets = new Map<string, DestinationRule['subsets'][number]>();
  for (const { spec } of rules)
    for (const subset of spec.subsets) if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  const trafficPolicy = rules.find(({ spec }) => spec.trafficPolicy !== undefined)?.spec.trafficPolicy;
  return { ...first, spec: { ...first.spec, subsets: [...subsets.values()], trafficPolicy } };
}
