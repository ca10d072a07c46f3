/**
 * The services that have clusters in a proxy.
 * **In**: the services in its view, and the VirtualServices for hosts there. **Out**: these services, and those that the rules lead to, also
 * if its Sidecar does not name them. **Fails**: never.
 *
 * As istiod does: a Sidecar says which hosts an application calls, and a rule of one of these may send its calls elsewhere.
 */
import type { Service } from '../model/model.ts';
import type { Destination, VirtualService } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { writtenRoutes } from './delegates.ts';
import { completeHost } from './hosts.ts';

type Rule = MeshObject<'VirtualService'>;

interface Mesh {
  readonly services: ReadonlyMap<string, Service>;
  readonly rules: { readonly VirtualService: readonly Rule[] };
  readonly settings: { readonly domain: string };
}

export function calledServices(
  inView: ReadonlyMap<string, Service>,
  rules: Iterable<Rule>,
  mesh: Mesh,
  isVisible: (service: Service) => boolean,
): ReadonlyMap<string, Service> {
  const called = new Map(inView);
  for (const rule of new Set(rules))
    for (const host of destinationsOf(rule, mesh)) {
      const service = called.has(host) ? undefined : mesh.services.get(host);
      if (service !== undefined && isVisible(service)) called.set(host, service);
    }
  return called;
}

/** Complete hosts. */
function* destinationsOf(rule: Rule, mesh: Mesh): Generator<string> {
  const { domain } = mesh.settings;
  for (const { route, rule: from } of writtenRoutes(rule, mesh.rules)) {
    const mirrors = route.mirror === undefined ? [] : [route.mirror];
    for (const { host } of [...mirrors, ...targets(route.mirrors), ...targets(route.route ?? [])])
      yield completeHost(host, from.origin.namespace, domain);
  }
  const { tls, tcp }: Pick<VirtualService, 'tls' | 'tcp'> = rule.spec;
  for (const { route } of [...tls, ...tcp])
    for (const { host } of targets(route)) yield completeHost(host, rule.origin.namespace, domain);
}

const targets = (all: readonly { readonly destination: Destination }[]): readonly Destination[] =>
  all.map(({ destination }) => destination);
