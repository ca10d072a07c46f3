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

/** Rules for one host that hold together, in the order in which they count. */
interface Group {
  readonly exportTo: ReadonlySet<string>;
  readonly rules: readonly Rule[];
}

/** By complete host. */
interface GroupsByHost {
  readonly all: ReadonlyMap<string, readonly Group[]>;
  /** Hosts with a wildcard, the most specific first. */
  readonly wild: readonly string[];
}

/** Of one namespace. */
interface OfNamespace {
  /** For callers of the namespace itself. */
  readonly own: GroupsByHost;
  readonly exported: GroupsByHost;
}

/** By list of rules, of which a mesh that changed elsewhere has the same. */
const known = new WeakMap<
  readonly Rule[],
  { readonly settings: MeshSettings; readonly byNamespace: ReadonlyMap<string, OfNamespace> }
>();

function rulesByNamespace({ rules, settings }: Mesh): ReadonlyMap<string, OfNamespace> {
  let index = known.get(rules.DestinationRule);
  if (index?.settings !== settings) {
    const byNamespace = Map.groupBy(rules.DestinationRule, ({ origin }) => origin.namespace);
    const ofNamespace = (all: readonly Rule[], namespace: string): OfNamespace => ({
      own: groupsByHost(
        all.filter((rule) => isForOwn(rule, namespace, settings)),
        settings,
      ),
      exported: groupsByHost(
        all.filter((rule) => !isPrivate(rule, settings)),
        settings,
      ),
    });
    index = {
      settings,
      byNamespace: new Map([...byNamespace].map(([namespace, all]) => [namespace, ofNamespace(all, namespace)])),
    };
    known.set(rules.DestinationRule, index);
  }
  return index.byNamespace;
}

/** Callers of the root namespace see its other rules as those of any namespace, so that these do not hide those of the service. */
const isForOwn = (rule: Rule, namespace: string, settings: MeshSettings): boolean =>
  namespace === settings.rootNamespace ? isPrivate(rule, settings) : isVisible(rule, { namespace }, settings);

function isPrivate({ origin, spec }: Rule, { exportTo }: MeshSettings): boolean {
  if (spec.workloadSelector !== undefined) return true;
  const to = spec.exportTo ?? exportTo?.destinationRule ?? ['*'];
  return to.every((one) => one === '.' || one === origin.namespace);
}

function groupsByHost(rules: readonly Rule[], { domain, exportTo }: MeshSettings): GroupsByHost {
  const byHost = Map.groupBy(rules, ({ origin, spec }) => completeHost(spec.host, origin.namespace, domain));
  const all = new Map([...byHost].map(([host, own]) => [host, grouped(own, exportTo?.destinationRule)]));
  return { all, wild: [...all.keys()].filter((host) => host.startsWith('*')).toSorted(bySpecificity) };
}

/**
 * As istiod: a rule joins those before it that are for the same workloads and exported to the same namespaces, or to some of them.
 * Those that select workloads come first.
 */
function grouped(rules: readonly Rule[], byDefault: readonly string[] = []): readonly Group[] {
  const groups: { readonly exportTo: ReadonlySet<string>; readonly rules: Rule[] }[] = [];
  for (const rule of [...rules.filter(isSelecting), ...rules.filter((one) => !isSelecting(one))]) {
    const exportTo = new Set(isSelecting(rule) ? ['.'] : (rule.spec.exportTo ?? byDefault));
    let isAlone = true;
    for (const group of groups) {
      const selector = group.rules[0]?.spec.workloadSelector;
      const isForSame = isDeepStrictEqual(selector, rule.spec.workloadSelector);
      const isExportedAlike =
        (group.exportTo.size > 0 || exportTo.size === 0) && [...group.exportTo].every((one) => exportTo.has(one));
      const joins = isExportedAlike && (isForSame || !isSelecting(rule));
      if (joins) group.rules.push(rule);
      isAlone = !joins || !isForSame;
    }
    if (isAlone) groups.push({ exportTo, rules: [rule] });
  }
  return groups;
}

function mostSpecific({ all, wild }: GroupsByHost, host: string): readonly Group[] | undefined {
  const best = all.has(host) ? host : wild.find((pattern) => covers(pattern, host));
  return best === undefined ? undefined : all.get(best);
}

/**
 * Looked for in the namespace of the client, then of the service, then in the root namespace; in each the rules for the most specific host
 * count alone. Rules that select workloads are for the calls that these make, not for those that they get.
 */
export function destinationRules(
  mesh: Mesh,
  member: Member,
  direction: 'outbound' | 'inbound',
): (host: string) => Rule | undefined {
  const { services, settings } = mesh;
  const byNamespace = rulesByNamespace(mesh);
  const found = new Map<string, Rule | undefined>();
  const groupsFor = (host: string): readonly Group[] => {
    const own = byNamespace.get(member.namespace)?.own;
    const nearest = own && mostSpecific(own, host);
    if (nearest !== undefined) return nearest;
    for (const namespace of [services.get(host)?.namespace, settings.rootNamespace]) {
      const exported = namespace === undefined ? undefined : byNamespace.get(namespace)?.exported;
      const groups = (exported && mostSpecific(exported, host))?.filter(
        ({ exportTo }) => exportTo.size === 0 || exportTo.has('*') || exportTo.has(member.namespace),
      );
      if (groups !== undefined && groups.length > 0) return groups;
    }
    return [];
  };
  const look = (host: string): Rule | undefined => {
    const groups = groupsFor(host);
    const selecting = groups.find(
      ({ rules: [first] }) =>
        direction === 'outbound' &&
        first?.spec.workloadSelector !== undefined &&
        hasLabels(member.labels, first.spec.workloadSelector.matchLabels),
    );
    // Of several that are exported to different namespaces, that of the newest rule.
    return united((selecting ?? groups.findLast(({ rules: [first] }) => first && !isSelecting(first)))?.rules ?? []);
  };
  return (host) => {
    if (!found.has(host)) found.set(host, look(host));
    return found.get(host);
  };
}

const isSelecting = ({ spec }: Rule): boolean => spec.workloadSelector !== undefined;

/** One that selects workloads holds in its own namespace alone. Without `labels` it may be any workload of the namespace. */
export function isVisible(
  { origin, spec }: Rule,
  { namespace, labels }: Pick<Member, 'namespace'> & Partial<Pick<Member, 'labels'>>,
  { exportTo }: MeshSettings,
): boolean {
  const isOwn = origin.namespace === namespace;
  if (spec.workloadSelector !== undefined)
    return isOwn && (labels === undefined || hasLabels(labels, spec.workloadSelector.matchLabels));
  if (spec.exportTo !== undefined) return isExported(spec.exportTo, origin.namespace, { namespace });
  return isOwn || isExported(exportTo?.destinationRule, origin.namespace, { namespace });
}

/** `exportTo` of an object in `namespace`: whether a member sees it; `undefined`: all do. `~` is nobody, whoever stands beside it. */
export const isExported = (
  exportTo: readonly string[] | undefined,
  namespace: string,
  member: Pick<Member, 'namespace'>,
): boolean =>
  exportTo === undefined ||
  exportTo.includes('*') ||
  (!exportTo.includes('~') && exportTo.some((to) => (to === '.' ? namespace : to) === member.namespace));

/** What several rules come to, by the rules one after the other. */
interface Unions {
  readonly next: WeakMap<Rule, Unions>;
  union?: Rule;
}
const unions: Unions = { next: new WeakMap() };

/**
 * Several for one host: their subsets together, the first of a name, and the traffic policy of the first that has one. The same value for
 * the same rules, since what is made of a rule is kept by its identity.
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
