/**
 * The services that have clusters in a proxy.
 * **In**: the services in its view, and the VirtualServices for hosts there. **Out**: these services, and those that the rules lead to,
 * also if its Sidecar does not name them. **Fails**: never.
 *
 * As istiod does: a Sidecar says which hosts an application calls, and a rule of one of these may send its calls elsewhere.
 */
import type { Service } from '../model/model.ts';
import type { Destination, VirtualService } from '../rules/virtual-service.ts';
import type { MeshObject } from '../sources/objects.ts';
import { writtenRoutes } from './delegates.ts';
import { completeHost, covers } from './hosts.ts';
import { type PartOfView, withPorts } from './views.ts';

type Rule = MeshObject<'VirtualService'>;

interface Mesh {
  readonly services: ReadonlyMap<string, Service>;
  readonly rules: { readonly VirtualService: readonly Rule[] };
  readonly settings: { readonly domain: string };
}

export function calledServices(
  inView: ReadonlyMap<string, Service>,
  parts: readonly PartOfView[],
  mesh: Mesh,
  isVisible: (service: Service) => boolean,
): ReadonlyMap<string, Service> {
  const called = new Map(inView);
  for (const part of parts)
    for (const rule of new Set(part.routes.values())) {
      if (!isFollowed(rule, part, mesh)) continue;
      for (const { host, port } of destinationsOf(rule, mesh)) {
        const service = mesh.services.get(host);
        if (service !== undefined && isVisible(service)) add(service, portsOf(service, port, part), called);
      }
    }
  return called;
}

/** A port follows the rules of hosts that it serves; at port 80 these need no service. */
const isFollowed = ({ origin, spec }: Rule, { port, services }: PartOfView, { settings }: Mesh): boolean =>
  port === undefined ||
  port === 80 ||
  spec.hosts.some((host) => {
    const complete = completeHost(host, origin.namespace, settings.domain);
    return (
      services.has(complete) || (complete.startsWith('*') && [...services.keys()].some((one) => covers(complete, one)))
    );
  });

/** `undefined`: all. */
function portsOf({ ports }: Service, written: number | undefined, part: PartOfView): number | undefined {
  return written ?? (part.port === undefined || ports.length === 1 ? undefined : part.port);
}

function add(service: Service, port: number | undefined, called: Map<string, Service>): void {
  const known = called.get(service.host)?.ports.map(({ number }) => number) ?? [];
  const seen = port === undefined ? service : withPorts(service, new Set([...known, port]));
  if (seen !== undefined) called.set(service.host, seen);
}

/** With complete hosts. */
function* destinationsOf(rule: Rule, mesh: Mesh): Generator<Pick<Destination, 'host' | 'port'>> {
  const { domain } = mesh.settings;
  for (const { route, rule: from } of writtenRoutes(rule, mesh.rules)) {
    const mirrors = route.mirror === undefined ? [] : [route.mirror];
    for (const { host, port } of [...mirrors, ...targets(route.mirrors), ...targets(route.route ?? [])])
      yield { host: completeHost(host, from.origin.namespace, domain), port };
  }
  const { tls, tcp }: Pick<VirtualService, 'tls' | 'tcp'> = rule.spec;
  for (const { route } of [...tls, ...tcp])
    for (const { host, port } of targets(route))
      yield { host: completeHost(host, rule.origin.namespace, domain), port };
}

const targets = (all: readonly { readonly destination: Destination }[]): readonly Destination[] =>
  all.map(({ destination }) => destination);
