/**
 * What objects of a mesh refer to: Envoy accepts a route to nowhere, and answers 503.
 * **In**: a mesh. **Out**: warnings at the rules whose hosts, subsets or gateways nobody declares. **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import { nodeAt, type Place } from '../yaml/nodes.ts';
import { meant } from '../text/nearest.ts';
import { completeGateway } from './envoy/http-routes.ts';
import { gatewayName } from './envoy/route-tables.ts';
import { Credentials } from './model/credentials.ts';
import type { Mesh } from './model/mesh.ts';
import { completeHost, overlap } from './resolve/hosts.ts';
import { isSelecting } from './resolve/mutual-tls.ts';
import { type Destination, MESH_GATEWAY } from './rules/virtual-service.ts';
import type { Kind } from './rules/kinds.ts';
import type { MeshObject } from './sources/objects.ts';

export function checkReferences(mesh: Mesh, findings: Findings): void {
  const checker = new Checker(mesh, findings);
  for (const rule of mesh.rules.VirtualService) checker.virtualService(rule);
  for (const rule of mesh.rules.DestinationRule) {
    checker.host(rule, rule.spec.host, ['spec', 'host']);
    checker.identities(rule);
  }
  for (const rule of mesh.rules.Gateway) checker.gateway(rule);
  checker.authentication();
}

class Checker {
  readonly #mesh: Mesh;
  readonly #findings: Findings;
  readonly #hosts: readonly string[];
  readonly #credentials: Credentials;
  /** Subsets by the complete host of their rule. */
  readonly #subsets = new Map<string, Set<string>>();
  /** Hosts of rules within the mesh, with the first that routes them. */
  readonly #routed = new Map<string, MeshObject<'VirtualService'>>();

  constructor(mesh: Mesh, findings: Findings) {
    this.#mesh = mesh;
    this.#findings = findings;
    this.#hosts = [...mesh.services.keys()];
    this.#credentials = new Credentials(mesh.rules.Secret);
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

  /** Calls would be encrypted by a mesh that has identities. */
  identities(rule: MeshObject<'DestinationRule'>): void {
    if (this.#mesh.settings.identities !== undefined) return;
    const { trafficPolicy, subsets } = rule.spec;
    const policies = [
      [trafficPolicy, ['spec', 'trafficPolicy']] as const,
      ...subsets.map((subset, at) => [subset.trafficPolicy, ['spec', 'subsets', at, 'trafficPolicy']] as const),
    ];
    for (const [policy, path] of policies) {
      const parts = [
        [policy?.tls, path] as const,
        ...(policy?.portLevelSettings ?? []).map((one, at) => [one.tls, [...path, 'portLevelSettings', at]] as const),
      ];
      for (const [tls, at] of parts)
        if (tls?.mode === 'ISTIO_MUTUAL')
          this.#findings.add(
            'warning',
            'MESH_RULE',
            placeAt(rule, [...at, 'tls', 'mode']),
            `${NO_IDENTITIES}, so ISTIO_MUTUAL comes to cleartext; MUTUAL with files of certificates encrypts`,
          );
    }
  }

  /** The proxies that a Gateway selects, and so their namespace, are not known here. */
  gateway(rule: MeshObject<'Gateway'>): void {
    for (const [at, { tls }] of rule.spec.servers.entries()) {
      const path = ['spec', 'servers', at, 'tls'];
      if (tls?.mode === 'ISTIO_MUTUAL' && this.#mesh.settings.identities === undefined)
        this.#warn(rule, [...path, 'mode'], `${NO_IDENTITIES}, so the server is left out`);
      const name = tls?.credentialName;
      if (name === undefined || tls?.mode === undefined || tls.mode === 'PASSTHROUGH') continue;
      const secrets = this.#mesh.rules.Secret.filter(({ origin }) => origin.name === name);
      if (secrets.length === 0)
        this.#warn(
          rule,
          [...path, 'credentialName'],
          `no Secret is named ${name}${meant(
            name,
            this.#mesh.rules.Secret.map(({ origin }) => origin.name),
          )}; the server is left out`,
        );
      for (const { origin } of secrets) {
        const found = this.#credentials.find(name, origin.namespace);
        const wrong =
          'wrong' in found
            ? found.wrong
            : tls.mode !== 'SIMPLE' && found.ca === undefined
              ? `the Secret ${origin.namespace}/${name} has no ca.crt, which mode ${tls.mode} needs`
              : undefined;
        if (wrong === undefined) continue;
        this.#findings.add('warning', 'MESH_SECRET', origin.place, wrong);
        this.#warn(rule, [...path, 'credentialName'], `${wrong}; the server is left out`);
      }
    }
  }

  /** Rules that say which connections workloads take. */
  authentication(): void {
    const { rules, settings } = this.#mesh;
    const all = [...rules.PeerAuthentication, ...rules.Policy, ...rules.MeshPolicy];
    if (settings.identities === undefined)
      for (const rule of all)
        this.#findings.add('warning', 'MESH_RULE', rule.origin.place, `${NO_IDENTITIES}, so it has no effect`);
    const first = new Map<string, string>();
    const once = (rule: MeshObject<'PeerAuthentication' | 'Policy'>, isForAll: boolean): void => {
      if (!isForAll) return;
      const { kind, namespace, name, place } = rule.origin;
      const older = first.get(`${kind} ${namespace}`);
      if (older === undefined) first.set(`${kind} ${namespace}`, `${kind} ${namespace}/${name}`);
      else
        this.#findings.add(
          'warning',
          'MESH_UNUSED',
          place,
          `the older ${older} holds for the namespace; this one is ignored`,
        );
    };
    for (const rule of rules.PeerAuthentication) {
      once(rule, !isSelecting(rule));
      if (isSelecting(rule) && rule.origin.namespace === settings.rootNamespace)
        this.#warn(rule, ['spec', 'selector'], 'in the root namespace a PeerAuthentication that selects has no effect');
    }
    for (const rule of rules.Policy) {
      once(rule, rule.spec.targets.length === 0);
      for (const [at, { name }] of rule.spec.targets.entries()) this.host(rule, name, ['spec', 'targets', at, 'name']);
    }
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

const NO_IDENTITIES = 'this control plane gives proxies no identities';

function placeAt({ origin }: MeshObject<Kind>, path: readonly (string | number)[]): Place {
  return nodeAt(origin.root, path).node.place;
}
