/**
 * What objects of a mesh refer to: Envoy accepts a route to nowhere, and answers 503.
 * **In**: a mesh. **Out**: warnings at the rules whose hosts, subsets or gateways nobody declares. **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import { meant } from '../text/nearest.ts';
import { checkGateways } from './check-gateways.ts';
import { checkMutualTls } from './check-mutual-tls.ts';
import { checkRouting } from './check-routing.ts';
import { checkTokenRouting } from './check-token-routing.ts';
import { checkVirtualServices } from './check-virtual-services.ts';
import { gatewayName } from './envoy/route-tables.ts';
import type { Mesh } from './model/mesh.ts';
import { completeGateway, completeHost, overlap } from './resolve/hosts.ts';
import { type Destination, MESH_GATEWAY } from './rules/virtual-service.ts';
import type { Kind } from './rules/kinds.ts';
import { type MeshObject, placeAt } from './sources/objects.ts';

type Path = readonly (string | number)[];

export function checkReferences(mesh: Mesh, findings: Findings): void {
  const checker = new Checker(mesh, findings);
  for (const rule of mesh.rules.VirtualService) checker.virtualService(rule);
  for (const rule of mesh.rules.DestinationRule) checker.host(rule, rule.spec.host, ['spec', 'host']);
  for (const rule of mesh.rules.Policy)
    for (const [at, { name }] of rule.spec.targets.entries()) checker.host(rule, name, ['spec', 'targets', at, 'name']);
  checkRouting(mesh, findings);
  checkGateways(mesh, findings);
  checkMutualTls(mesh, findings);
  checkTokenRouting(mesh, findings);
  checkVirtualServices(mesh, findings);
}

class Checker {
  readonly #mesh: Mesh;
  readonly #findings: Findings;
  readonly #hosts: readonly string[];
  /** Subsets by the complete host of their rule. */
  readonly #subsets = new Map<string, Set<string>>();
  /** Hosts of rules within the mesh and whom they are for, with the first that routes them. */
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

  #warn(rule: MeshObject<Kind>, path: Path, message: string): void {
    this.#findings.add('warning', 'MESH_UNUSED', placeAt(rule, path), message);
  }

  /** One of no service is served by its http routes, at port 80 alone; by its other routes nowhere. */
  #routedHost(rule: MeshObject<'VirtualService'>, host: string, path: Path): void {
    const { http, tls, tcp } = rule.spec;
    const complete = completeHost(host, rule.origin.namespace, this.#mesh.settings.domain);
    // One that looks like a service is a mistake, as is one with no other use.
    const isMistaken =
      complete.endsWith(`.svc.${this.#mesh.settings.domain}`) || this.#nameInFull(complete) !== undefined;
    if (http.length === 0 || isMistaken) this.host(rule, host, path);
    else if (tls.length + tcp.length > 0 && !this.#isKnown(complete))
      this.#warn(rule, path, `no service has the host ${complete}, so only its http routes count, at port 80`);
  }

  /** Anything with a dot is taken as complete: `reviews.default` is the host of no service. */
  host(rule: MeshObject<Kind>, host: string, path: Path): boolean {
    const complete = completeHost(host, rule.origin.namespace, this.#mesh.settings.domain);
    if (this.#isKnown(complete)) return true;
    const inFull = this.#nameInFull(complete);
    const hint =
      inFull === undefined
        ? meant(complete, this.#hosts)
        : `; a name with a dot is taken as complete, so write ${inFull}`;
    this.#warn(rule, path, `no service has the host ${complete}${hint}`);
    return false;
  }

  #isKnown(complete: string): boolean {
    return this.#hosts.some((known) => overlap(complete, known));
  }

  /** Of a service whose name the host begins. */
  #nameInFull(complete: string): string | undefined {
    const inFull = `${complete}.svc.${this.#mesh.settings.domain}`;
    return this.#hosts.includes(inFull) ? inFull : undefined;
  }

  #exportOf({ spec, origin }: MeshObject<'VirtualService'>): string {
    const all = spec.exportTo ?? this.#mesh.settings.exportTo?.virtualService ?? ['*'];
    return all.includes('*')
      ? '*'
      : all
          .map((one) => (one === '.' ? origin.namespace : one))
          .toSorted()
          .join(' ');
  }

  virtualService(rule: MeshObject<'VirtualService'>): void {
    const { spec, origin } = rule;
    this.#gateways(rule);
    if (spec.gateways.includes(MESH_GATEWAY))
      for (const [at, host] of spec.hosts.entries()) {
        const complete = completeHost(host, origin.namespace, this.#mesh.settings.domain);
        this.#routedHost(rule, host, ['spec', 'hosts', at]);
        const key = `${complete} ${this.#exportOf(rule)}`;
        const earlier = this.#routed.get(key);
        if (earlier === undefined) this.#routed.set(key, rule);
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

  #destination(rule: MeshObject<'VirtualService'>, { host, subset, port }: Destination, path: Path): void {
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
