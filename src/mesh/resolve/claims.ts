/**
 * What a proxy says of itself, against what it has proven: a stolen node id must not give the configuration, and the keys, of another.
 * **In**: its node, and its proven SPIFFE ID. **Out**: a sentence that says what is wrong, for the proxy; or nothing. **Fails**: never.
 */
import { parseWorkloadId } from '../../identity/spiffe.ts';
import type { Proxy } from '../../xds/index.ts';
import type { MeshSettings } from '../model/mesh.ts';
import type { Member } from './proxy.ts';

export function wrongClaim(
  { id, metadata }: Pick<Proxy, 'id' | 'metadata'>,
  { namespace }: Pick<Member, 'namespace'>,
  identity: string,
  { identities }: MeshSettings,
): string | undefined {
  const proven = parseWorkloadId(identity);
  if (proven === undefined)
    return `${identity} is not the identity of a workload: expected spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`;
  const domains = identities === undefined ? [] : [identities.trustDomain, ...identities.trustDomainAliases];
  if (identities !== undefined && !domains.includes(proven.trustDomain))
    return `${identity} is of another trust domain; those of this mesh are ${domains.join(', ')}`;
  const account = metadata['SERVICE_ACCOUNT'];
  const claimed = {
    namespace,
    serviceAccount: account === undefined || account === '' ? proven.serviceAccount : account,
  };
  for (const part of ['namespace', 'serviceAccount'] as const)
    if (claimed[part] !== proven[part])
      return `the node ${JSON.stringify(id)} claims the ${WORDS[part]} ${JSON.stringify(claimed[part])}; ${identity} may not`;
  return undefined;
}

const WORDS = { namespace: 'namespace', serviceAccount: 'service account' } as const;
