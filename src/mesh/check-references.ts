/**
 * What objects of a mesh refer to: Envoy accepts a route to nowhere, and answers 503.
 * **In**: a mesh. **Out**: warnings at the rules whose hosts, subsets or gateways nobody declares. **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import { meant } from '../text/nearest.ts';
import { checkMutualTls } from './check-mutual-tls.ts';
import { checkRouting } from './check-routing.ts';
import { gatewayName } from './envoy/route-tables.ts';
import type { Mesh } from './model/mesh.ts';
import { completeGateway, completeHost, overlap } from './resolve/hosts.ts';
import { type Destination, MESH_GATEWAY } from './rules/virtual-service.ts';
import type { Kind } from './rules/kinds.ts';
import { type MeshObject, placeAt } from './sources/objects.ts';

export function checkReferences(mesh: Mesh, findings: Findings): void {
  const checker = new Checker(mesh, findings);
  for (const rule of mesh.rules.VirtualService) checker.virtualService(rule);
  for (const rule of mesh.rules.DestinationRule) checker.host(rule, rule.spec.host, ['spec', 'host']);
  for (const rule of mesh.rules.Policy)
    for (const [at, { name }] of rule.spec.targets.entries()) checker.host(rule, name, ['spec', 'targets', at, 'name']);
  checkRouting(mesh, findings);
  checkMutualTls(mesh, findings);
}

class Checker {
  readonly #mesh: Mesh;
  readonly #findings: Findings;
  readonly #hosts: readonly string[];
  /** Subsets by the complete host of their rule. */
  readonly #subsets = new Map<string, Set<string>>();
  /** Hosts of rules within the mesh, with the first that routes them. */
  readonly #routed = new Map<string, MeshObject<'VirtualService'>>();

  constructor(mesh: Mesh, findings: Findings) {
    this.#mesh = mesh;
    this.#findings = findings;
    this.#hosts = [...mesh.services.keys()];
    for (const { origin, spec } of mesh.rules.DestinationRule) {
      const host = completeHost(spec.host, origin.namespace, mesh.settings.domain);
      const known = this.#subsets.get(host) ?? new Set<string>();
      for (const { name } of spec.subsets) known.add(name);
      this.#subsets.set(host, known);
    }
  }

  #warn(rule: MeshObject<Kind>, path: readonly (string | number)[], message: string): void {
    this.#findings.add('warning', 'MESH_UNUSED', placeAt(rule, path), message);
  }

  /** Anything with a dot is taken as complete: `reviews.default` is the host of no service. */
  host(rule: MeshObject<Kind>, host: string, path: readonly (string | number)[]): boolean {
    const complete = completeHost(host, rule.origin.namespace, this.#mesh.settings.domain);
    if (this.#hosts.some((known) => overlap(complete, known))) return true;
    const inFull = `${complete}.svc.${this.#mesh.settings.domain}`;
    const hint = this.#hosts.includes(inFull)
      ? `; a name with a dot is taken as complete, so write ${inFull}`
      : meant(complete, this.#hosts);
    this.#warn(rule, path, `no service has the host ${complete}${hint}`);
    return false;
  }

  virtualService(rule: MeshObject<'VirtualService'>): void {
    const { spec, origin } = rule;
    this.#gateways(rule);
    if (spec.gateways.includes(MESH_GATEWAY))
      for (const [at, host] of spec.hosts.entries()) {
        const complete = completeHost(host, origin.namespace, this.#mesh.settings.domain);
        this.host(rule, host, ['spec', 'hosts', at]);
        const earlier = this.#routed.get(complete);
        if (earlier === undefined) this.#routed.set(complete, rule);
        else
          this.#warn(
            rule,
            ['spec', 'hosts', at],
            `calls to ${complete} within the mesh follow the older VirtualService ${earlier.origin.namespace}/${earlier.origin.name}; this one is ignored`,
          );
      }
    for (const [at, route] of spec.http.entries()) {
      const path = ['spec', 'http', at];
      for (const [nth, { destination }] of (route.route ?? []).entries())
        this.#destination(rule, destination, [...path, 'route', nth, 'destination']);
      if (route.mirror !== undefined) this.#destination(rule, route.mirror, [...path, 'mirror']);
      for (const [nth, { destination }] of route.mirrors.entries())
        this.#destination(rule, destination, [...path, 'mirrors', nth, 'destination']);
    }
    for (const part of ['tls', 'tcp'] as const)
      for (const [at, { route }] of spec[part].entries())
        for (const [nth, { destination }] of route.entries())
          this.#destination(rule, destination, ['spec', part, at, 'route', nth, 'destination']);
  }

  #gateways(rule: MeshObject<'VirtualService'>): void {
    const known = this.#mesh.rules.Gateway.map(gatewayName);
    for (const [at, name] of rule.spec.gateways.entries()) {
      const complete = completeGateway(name, rule.origin.namespace);
      if (complete !== MESH_GATEWAY && !known.includes(complete))
        this.#warn(rule, ['spec', 'gateways', at], `no Gateway is named ${complete}${meant(complete, known)}`);
    }
  }

  #destination(
    rule: MeshObject<'VirtualService'>,
    { host, subset, port }: Destination,
    path: readonly (string | number)[],
  ): void {
    if (!this.host(rule, host, [...path, 'host'])) return;
    const complete = completeHost(host, rule.origin.namespace, this.#mesh.settings.domain);
    const subsets = [...(this.#subsets.get(complete) ?? [])];
    if (subset !== undefined && !subsets.includes(subset))
      this.#warn(
        rule,
        [...path, 'subset'],
        `no DestinationRule declares the subset ${subset} of ${complete}${meant(subset, subsets)}; calls are answered with 503`,
      );
    const ports = this.#mesh.services.get(complete)?.ports.map(({ number }) => number) ?? [];
    if (port !== undefined && ports.length > 0 && !ports.includes(port))
      this.#warn(
        rule,
        [...path, 'port', 'number'],
        `${complete} has no port ${port}; it has ${ports.join(', ')}; calls are answered with 503`,
      );
  }
}
