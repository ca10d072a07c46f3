/**
 * Members that are alike get the same configuration for the calls that they make.
 * **In**: the mesh, and a member. **Out**: a member that stands for all that are like it. **Fails**: never.
 */
import { isIPv6 } from 'node:net';
import type { Mesh } from '../model/mesh.ts';
import type { PortPolicy } from '../rules/destination-rule.ts';
import type { Member } from './proxy.ts';

type LoadBalancer = Partial<NonNullable<PortPolicy['loadBalancer']>>;

/** Of its labels, those that rules select callers by; of its address, the family. */
export function likenessOf(mesh: Mesh, member: Member): Member {
  const selecting = selectingLabels(mesh);
  return {
    ...member,
    name: '',
    serviceAccount: '',
    proven: undefined,
    address: isIPv6(member.address) ? '::' : '0.0.0.0',
    labels: new Map(
      [...member.labels].filter(([name]) => selecting.has(name)).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ),
  };
}

/** Names of labels, by list of rules, of which a mesh that changed elsewhere has the same. */
const known = new WeakMap<object, ReadonlySet<string>>();

function namesIn(list: object, find: () => readonly string[]): ReadonlySet<string> {
  let names = known.get(list);
  if (names === undefined) known.set(list, (names = new Set(find())));
  return names;
}

function selectingLabels({ rules: { VirtualService, DestinationRule }, settings }: Mesh): ReadonlySet<string> {
  const ofRoutes = namesIn(VirtualService, () =>
    VirtualService.flatMap(({ spec: { http, tls, tcp } }) =>
      [
        ...http.flatMap(({ match = [] }) => match),
        ...tls.flatMap(({ match }) => match),
        ...tcp.flatMap(({ match = [] }) => match),
      ].flatMap(({ sourceLabels }) => Object.keys(sourceLabels)),
    ),
  );
  const ofDestinations = namesIn(DestinationRule, () =>
    DestinationRule.flatMap(({ spec }) => [
      ...Object.keys(spec.workloadSelector?.matchLabels ?? {}),
      ...[spec.trafficPolicy, ...spec.subsets.map(({ trafficPolicy }) => trafficPolicy)].flatMap((policy) =>
        [policy, ...(policy?.portLevelSettings ?? [])].flatMap((one) => comparedLabels(one?.loadBalancer)),
      ),
    ]),
  );
  return new Set([...ofRoutes, ...ofDestinations, ...comparedLabels({ localityLbSetting: settings.localityLb })]);
}

/** Names of labels by which a caller prefers endpoints; an entry may be `NAME=VALUE`. */
const comparedLabels = (balancer: Pick<LoadBalancer, 'localityLbSetting'> | undefined): readonly string[] =>
  (balancer?.localityLbSetting?.failoverPriority ?? []).map((text) => text.split('=', 1)[0] ?? '');
