/**
 * How calls prefer endpoints that are near.
 * **In**: the endpoints of a cluster, the member that calls, the setting. **Out**: groups of endpoints by locality, each with a priority
 * and a share. **Fails**: never.
 *
 * As istiod has it: `distribute` gives shares by locality; else, where failing endpoints are ejected, nearer localities come first, since
 * Envoy would never leave a priority whose endpoints all count as healthy.
 */
import type { Endpoint } from '../model/model.ts';
import { labelOrTopology, type Locality, localityOf } from '../model/locality.ts';
import type { LocalityLbSetting } from '../rules/locality.ts';
import type { Member } from './proxy.ts';

export interface LocalityGroup<E> {
  readonly locality: string;
  readonly endpoints: readonly E[];
  /** 0 first, without gaps. */
  readonly priority: number;
  /** Among the groups of its priority. */
  readonly weight: number;
}

interface Caller {
  readonly member: Pick<Member, 'labels' | 'locality'>;
  /** `undefined`: localities are equal. */
  readonly setting: LocalityLbSetting | undefined;
  readonly ejectsOutliers: boolean;
}

export function localityGroups<E extends Pick<Endpoint, 'locality' | 'labels' | 'weight'>>(
  endpoints: readonly E[],
  { member, setting, ejectsOutliers }: Caller,
): readonly LocalityGroup<E>[] {
  const groups = [...Map.groupBy(endpoints, ({ locality = '' }) => locality)]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([locality, own]) => groupOf(locality, own, 0));
  if (setting === undefined) return groups;
  if (setting.distribute.length > 0) return distributed(groups, localityOf(member.locality), setting.distribute);
  if (!ejectsOutliers) return groups;
  const split = setting.failoverPriority.length === 0 ? groups : byLabels(groups, member, setting.failoverPriority);
  const isByLabelsAlone = setting.failoverPriority.length > 0 && setting.failover.length === 0;
  return withoutGaps(isByLabelsAlone ? split : byDistance(split, localityOf(member.locality), setting.failover));
}

const groupOf = <E extends Pick<Endpoint, 'weight'>>(
  locality: string,
  endpoints: readonly E[],
  priority: number,
): LocalityGroup<E> => ({
  locality,
  endpoints,
  priority,
  weight: endpoints.reduce((sum, { weight }) => sum + weightOf(weight), 0),
});

/** 0 stands for the default. */
const weightOf = (weight: number | undefined): number => (weight === undefined || weight === 0 ? 1 : weight);

/** The first entry for the caller's locality; of its targets the more exact one has a locality, and the others get nothing. */
function distributed<E>(
  groups: readonly LocalityGroup<E>[],
  caller: Locality,
  entries: LocalityLbSetting['distribute'],
): readonly LocalityGroup<E>[] {
  const entry = entries.find(({ from }) => isWithin(caller, from));
  if (entry === undefined) return groups;
  const left = new Set(groups);
  const shares: LocalityGroup<E>[] = [];
  for (const [pattern, share] of Object.entries(entry.to).toSorted(
    ([a], [b]) => exactness(b) - exactness(a) || (a < b ? -1 : 1),
  )) {
    const own = [...left].filter(({ locality }) => isWithin(localityOf(locality), pattern));
    const sum = own.reduce((total, { weight }) => total + weight, 0);
    for (const group of own) {
      left.delete(group);
      if (share > 0) shares.push({ ...group, weight: Math.ceil((group.weight * share) / sum) });
    }
  }
  return shares.toSorted((a, b) => (a.locality < b.locality ? -1 : 1));
}

const exactness = (pattern: string): number => pattern.split('/').filter((part) => part !== '*' && part !== '').length;

/** `*` and an absent part match all. */
function isWithin({ region, zone, subZone }: Locality, pattern: string): boolean {
  const wanted = localityOf(pattern);
  const fits = (own: string, part: string): boolean => part === '*' || own === part;
  return (
    fits(region, wanted.region) &&
    (wanted.zone === '' || fits(zone, wanted.zone)) &&
    (wanted.subZone === '' || fits(subZone, wanted.subZone))
  );
}

/** Endpoints with more of the labels in common, from the first on, come first; `NAME=VALUE` stands for the caller's own value. */
function byLabels<E extends Pick<Endpoint, 'locality' | 'labels' | 'weight'>>(
  groups: readonly LocalityGroup<E>[],
  { labels, locality }: Pick<Member, 'labels' | 'locality'>,
  names: readonly string[],
): readonly LocalityGroup<E>[] {
  const wanted = names.map((text) => {
    const [name = '', value] = text.split('=', 2);
    return { name, value: value ?? labelOrTopology(labels, locality, name) };
  });
  const priorityOf = (endpoint: E): number => {
    const at = wanted.findIndex(
      ({ name, value }) => labelOrTopology(endpoint.labels, endpoint.locality, name) !== value,
    );
    return at === -1 ? 0 : wanted.length - at;
  };
  return groups.flatMap((group) =>
    [...Map.groupBy(group.endpoints, priorityOf)]
      .toSorted(([a], [b]) => a - b)
      .map(([priority, own]) => groupOf(group.locality, own, priority)),
  );
}

/** Distances of a locality, of which there are fewer than this. */
const DISTANCES = 5;

const byDistance = <E>(
  groups: readonly LocalityGroup<E>[],
  caller: Locality,
  failover: LocalityLbSetting['failover'],
): readonly LocalityGroup<E>[] =>
  groups.map((group) => ({
    ...group,
    priority: group.priority * DISTANCES + distance(caller, localityOf(group.locality), failover),
  }));

/** 0 within the sub-zone, 1 the zone, 2 the region; then the region that the rule names, before all others. */
function distance(a: Locality, b: Locality, failover: LocalityLbSetting['failover']): number {
  if (a.region === b.region) {
    if (a.zone !== b.zone) return 2;
    return a.subZone === b.subZone ? 0 : 1;
  }
  const next = failover.find(({ from }) => from === a.region)?.to;
  return next === undefined || next === b.region ? 3 : 4;
}

function withoutGaps<E>(groups: readonly LocalityGroup<E>[]): readonly LocalityGroup<E>[] {
  const used = [...new Set(groups.map(({ priority }) => priority))].toSorted((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: used.indexOf(group.priority) }));
}
