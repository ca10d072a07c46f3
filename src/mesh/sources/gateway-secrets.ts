/**
 * Which Secrets the gateways of a mesh use: no other is read from an API server.
 * **In**: Gateways, pods. **Out**: `namespace/name` of Secrets, in the namespaces of the pods that a Gateway selects. **Fails**: never.
 */
import { hasLabels } from '../model/workloads.ts';
import type { MeshObject, MeshObjects } from './objects.ts';

export function gatewaySecrets({ Gateway, Pod }: Pick<MeshObjects, 'Gateway' | 'Pod'>): ReadonlySet<string> {
  const wanted = new Set<string>();
  for (const gateway of Gateway) {
    const names = namesOf(gateway);
    if (names.length === 0) continue;
    for (const namespace of namespacesOf(gateway, Pod)) for (const name of names) wanted.add(`${namespace}/${name}`);
  }
  return wanted;
}

/** The authority of clients may stand in a Secret of its own. */
const namesOf = ({ spec: { servers } }: MeshObject<'Gateway'>): readonly string[] =>
  servers.flatMap(({ tls: { credentialName, mode } = {} }) =>
    credentialName === undefined || mode === undefined || mode === 'PASSTHROUGH'
      ? []
      : mode === 'SIMPLE'
        ? [credentialName]
        : [credentialName, `${credentialName}-cacert`],
  );

/** A Gateway without a selector is for the workloads of its own namespace. */
function namespacesOf({ origin, spec: { selector } }: MeshObject<'Gateway'>, pods: MeshObjects['Pod']): Set<string> {
  if (Object.keys(selector).length === 0) return new Set([origin.namespace]);
  const namespaces = new Set<string>();
  for (const pod of pods)
    if (!namespaces.has(pod.origin.namespace) && hasLabels(pod.origin.labels, selector))
      namespaces.add(pod.origin.namespace);
  return namespaces;
}
