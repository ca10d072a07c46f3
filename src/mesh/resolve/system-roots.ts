/**
 * Rules of TLS that leave it to the operating system of a proxy which authorities it trusts.
 * **In**: the mesh, and a member. **Out**: the first such rule for calls of the member, if it has named no file of CA certificates; the
 * clusters of the rule then lead nowhere, as Envoy refuses one that names a missing file. **Fails**: never.
 */
import { clientTlsOf } from '../model/credential-access.ts';
import type { Mesh } from '../model/mesh.ts';
import type { ClientTls } from '../rules/destination-rule.ts';
import type { MeshObject } from '../sources/objects.ts';
import { isVisible } from './destination-rules.ts';
import type { Member } from './proxy.ts';

type Rule = MeshObject<'DestinationRule'>;

export function ruleWithoutRoots(mesh: Mesh, member: Member): Rule | undefined {
  if (member.systemRoots !== undefined) return undefined;
  return rulesBySystemRoots(mesh.rules.DestinationRule).find((rule) => isVisible(rule, member, mesh.settings));
}

/** By list of rules, which a mesh that changed elsewhere has again. */
const known = new WeakMap<readonly Rule[], readonly Rule[]>();

function rulesBySystemRoots(rules: readonly Rule[]): readonly Rule[] {
  let found = known.get(rules);
  if (found === undefined)
    known.set(rules, (found = rules.filter(({ spec }) => clientTlsOf(spec).some(usesSystemRoots))));
  return found;
}

const usesSystemRoots = (tls: ClientTls): boolean =>
  (tls.mode === 'SIMPLE' || tls.mode === 'MUTUAL') &&
  tls.caCertificates === undefined &&
  tls.credentialName === undefined &&
  tls.insecureSkipVerify !== true;
