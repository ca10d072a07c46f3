/**
 * Which tokens decide where a gateway sends calls.
 * **In**: the mesh, and a gateway. **Out**: the RequestAuthentications that select it, if a rule of its own routes by claims. **Fails**:
 * never.
 */
import { hasLabels, type Mesh } from '../model/mesh.ts';
import { routingClaim } from '../rules/routing-claim.ts';
import type { MeshObject } from '../sources/objects.ts';
import { writtenRoutes } from './delegates.ts';
import { gatewaysOf } from './gateways.ts';
import { completeGateway } from './hosts.ts';
import type { Scope } from './scope.ts';

type Rule = MeshObject<'VirtualService'>;
type Tokens = MeshObject<'RequestAuthentication'>;

export function routingTokens(scope: Pick<Scope, 'mesh' | 'member'>): readonly Tokens[] {
  const { mesh, member } = scope;
  const rules = rulesByClaims(mesh);
  if (rules.length === 0 || member.type !== 'router') return [];
  const own = new Set(gatewaysOf(scope).map(({ origin }) => `${origin.namespace}/${origin.name}`));
  const isOwn = ({ origin, spec }: Rule): boolean =>
    spec.gateways.some((name) => own.has(completeGateway(name, origin.namespace)));
  return rules.some(isOwn) ? mesh.rules.RequestAuthentication.filter((one) => selects(one, scope)) : [];
}

/** Of the Gateway API, whose label Istio's injector writes. */
const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';

function selects({ origin, spec }: Tokens, { mesh, member }: Pick<Scope, 'mesh' | 'member'>): boolean {
  if (origin.namespace !== member.namespace && origin.namespace !== mesh.settings.rootNamespace) return false;
  const targets = spec.targetRef === undefined ? spec.targetRefs : [spec.targetRef, ...spec.targetRefs];
  if (targets.length === 0) return hasLabels(member.labels, spec.selector?.matchLabels ?? {});
  return targets.some(({ kind, name }) => kind === 'Gateway' && member.labels.get(GATEWAY_NAME) === name);
}

/** By list of rules, which a mesh that changed elsewhere has again. */
const known = new WeakMap<readonly Rule[], readonly Rule[]>();

/** VirtualServices that route by claims, also by those of their delegates. */
export function rulesByClaims({ rules }: Pick<Mesh, 'rules'>): readonly Rule[] {
  let found = known.get(rules.VirtualService);
  if (found === undefined) {
    found = rules.VirtualService.filter((rule) => rule.spec.hosts.length > 0 && claimsIn(rule, rules).length > 0);
    known.set(rules.VirtualService, found);
  }
  return found;
}

/** As written. */
export const claimsIn = (rule: Rule, rules: Pick<Mesh['rules'], 'VirtualService'>): readonly string[] =>
  writtenRoutes(rule, rules)
    .flatMap(({ route }) => route.match ?? [])
    .flatMap(({ headers, withoutHeaders }) => [...Object.keys(headers), ...Object.keys(withoutHeaders)])
    .filter((name) => routingClaim(name) !== undefined);
