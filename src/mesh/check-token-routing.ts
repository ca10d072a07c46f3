/**
 * Routes by claims of tokens that no gateway verifies.
 * **In**: a mesh. **Out**: warnings at rules whose gateways no RequestAuthentication can select, and at tokens whose keys proxies cannot
 * find.
 * **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import { hasKeys } from './envoy/token-filter.ts';
import type { Mesh } from './model/mesh.ts';
import { completeGateway } from './resolve/hosts.ts';
import { claimsIn, rulesByClaims } from './resolve/token-routing.ts';
import { placeAt } from './sources/objects.ts';

export function checkTokenRouting({ rules }: Mesh, findings: Findings): void {
  const routing = rulesByClaims({ rules });
  for (const rule of routing) {
    const { origin, spec } = rule;
    const names = new Set(spec.gateways.map((name) => completeGateway(name, origin.namespace)));
    const gateways = rules.Gateway.filter((one) => names.has(`${one.origin.namespace}/${one.origin.name}`));
    const isVerified = gateways.some((gateway) =>
      rules.RequestAuthentication.some((tokens) =>
        agree(gateway.spec.selector, tokens.spec.selector?.matchLabels ?? {}),
      ),
    );
    if (gateways.length > 0 && !isVerified)
      findings.add(
        'warning',
        'MESH_UNUSED',
        placeAt(rule, ['spec', 'http']),
        `no RequestAuthentication selects its gateways, so ${claimsIn(rule, rules)[0] ?? 'a claim'} is in no token there`,
      );
  }
  if (routing.length === 0) return;
  for (const tokens of rules.RequestAuthentication)
    for (const [at, one] of tokens.spec.jwtRules.entries())
      if (!hasKeys(one))
        findings.add(
          'warning',
          'MESH_UNUSED',
          placeAt(tokens, ['spec', 'jwtRules', at]),
          'gateways look for no keys at the issuer, so nothing is routed by the claims of its tokens; write jwksUri or jwks',
        );
}

type Labels = Readonly<Record<string, string>>;

/** Whether a workload can have both. */
const agree = (a: Labels, b: Labels): boolean =>
  Object.entries(a).every(([name, value]) => b[name] === undefined || b[name] === value);
