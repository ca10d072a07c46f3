/**
 * Members that are alike get the same configuration for the calls that they make.
 * **In**: the mesh, and a member. **Out**: a member that stands for all that are like it. **Fails**: never.
 */
import { isIPv6 } from 'node:net';
import type { Mesh } from '../model/mesh.ts';
import type { Member } from './proxy.ts';

/** Of its labels, those that rules select callers by; of its address, the family. */
export function likenessOf(mesh: Mesh, member: Member): Member {
  const selecting = selectingLabels(mesh);
  return {
    ...member,
    name: '',
    serviceAccount: '',
    address: isIPv6(member.address) ? '::' : '0.0.0.0',
    labels: new Map(
      [...member.labels].filter(([name]) => selecting.has(name)).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ),
  };
}

type Labels = Readonly<Record<string, string>>;

/** Names of labels, by list of rules, of which a mesh that changed elsewhere has the same. */
const known = new WeakMap<object, ReadonlySet<string>>();

function selectingLabels({ rules: { VirtualService, DestinationRule } }: Mesh): ReadonlySet<string> {
  const namesIn = (list: object, selectors: () => readonly Labels[]): ReadonlySet<string> => {
    let names = known.get(list);
    if (names === undefined) known.set(list, (names = new Set(selectors().flatMap((one) => Object.keys(one)))));
    return names;
  };
  const ofRoutes = namesIn(VirtualService, () =>
    VirtualService.flatMap(({ spec: { http, tls, tcp } }) =>
      [
        ...http.flatMap(({ match = [] }) => match),
        ...tls.flatMap(({ match }) => match),
        ...tcp.flatMap(({ match = [] }) => match),
      ].map(({ sourceLabels }) => sourceLabels),
    ),
  );
  const ofDestinations = namesIn(DestinationRule, () =>
    DestinationRule.map(({ spec }) => spec.workloadSelector?.matchLabels ?? {}),
  );
  return new Set([...ofRoutes, ...ofDestinations]);
}
