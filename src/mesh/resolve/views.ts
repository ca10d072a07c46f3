/**
 * What the egress of a Sidecar lets an application call.
 * **In**: services and VirtualServices that are exported to it, and its egress. **Out**: those that count, for all of its calls and for
 * those to one port. **Fails**: never.
 *
 * As istiod does: an egress names services by their namespaces and VirtualServices by theirs, so a rule of a namespace that it does not
 * name counts nowhere, though it routes a host that is named. A port of the Sidecar sees what its own egress names alone.
 */
import type { Service } from '../model/model.ts';
import type { SidecarEgress } from '../rules/gateway.ts';
import type { MeshObject } from '../sources/objects.ts';
import { completeHost, covers, overlap } from './hosts.ts';
import type { Member } from './proxy.ts';
import type { RulesByHost } from './rule-for.ts';

type Rule = MeshObject<'VirtualService'>;
type Caller = Pick<Member, 'namespace'>;

export interface View {
  /** That the application may call, by host. */
  readonly services: ReadonlyMap<string, Service>;
  /** VirtualServices for calls within the mesh, by the complete host that they route; the first of several. */
  readonly routes: RulesByHost;
}

/** What one port sees, or all that have no egress of their own. */
export interface PartOfView extends View {
  readonly port: number | undefined;
}

export interface Views {
  readonly all: View;
  readonly parts: readonly PartOfView[];
  /** Of calls to a port: by the egress that names it, or those that name no port. */
  readonly at: (port: number) => View;
}

/** `rules`: the first of a host counts. No egress: all is in view. */
export function viewsOf(
  services: ReadonlyMap<string, Service>,
  rules: readonly Rule[],
  egress: readonly SidecarEgress[],
  member: Caller,
  domain: string,
): Views {
  if (egress.length === 0) {
    const all: View = { services, routes: byHost(rules, domain) };
    return { all, parts: [{ ...all, port: undefined }], at: () => all };
  }
  const viewOf = (some: readonly SidecarEgress[]): View => ({
    services: new Map(
      [...services].flatMap(([host, service]) => {
        const seen = seenBy(service, some, member);
        return seen === undefined ? [] : [[host, seen] as const];
      }),
    ),
    routes: byHost(
      rules.filter((rule) => some.some((one) => isSelected(rule, one, member, domain))),
      domain,
    ),
  });
  const all = viewOf(egress);
  const open = egress.filter(({ port }) => port === undefined);
  const known = new Map<SidecarEgress | undefined, View>(open.length === egress.length ? [[undefined, all]] : []);
  const parts = [
    ...egress.filter(isForPort).map((one): PartOfView => ({ ...viewOf([one]), port: one.port?.number })),
    { ...viewOf(egress.filter((one) => !isForPort(one))), port: undefined },
  ];
  return {
    all,
    parts,
    at: (port) => {
      const named = egress.find((one) => one.port?.number === port);
      let view = known.get(named);
      if (view === undefined) known.set(named, (view = viewOf(named === undefined ? open : [named])));
      return view;
    },
  };
}

function byHost(rules: readonly Rule[], domain: string): RulesByHost {
  const routes = new Map<string, Rule>();
  for (const rule of rules) for (const host of hostsOf(rule, domain)) if (!routes.has(host)) routes.set(host, rule);
  return routes;
}

const hostsOf = ({ origin, spec }: Rule, domain: string): readonly string[] =>
  spec.hosts.map((host) => completeHost(host, origin.namespace, domain));

/** A rule counts with all of its hosts once one of them is named. */
const isSelected = (rule: Rule, egress: SidecarEgress, member: Caller, domain: string): boolean =>
  hostsOf(rule, domain).some((host) => isNamed({ namespace: rule.origin.namespace, host }, egress, member, overlap));

/** A proxy of HTTP takes calls to any port. */
const isForPort = ({ port }: SidecarEgress): boolean => port !== undefined && port.protocol !== 'HTTP_PROXY';

/** An egress that names a port sees that port of a service, and no service without it. */
function seenBy(service: Service, egress: readonly SidecarEgress[], member: Caller): Service | undefined {
  const numbers = new Set<number>();
  for (const one of egress) {
    if (!isReached(service, one, member)) continue;
    if (one.port === undefined || !isForPort(one)) return service;
    numbers.add(one.port.number);
  }
  return withPorts(service, numbers);
}

/** By service and ports, since what is made of a service is kept by its identity. */
const narrowed = new WeakMap<Service, Map<string, Service>>();

/** Of its ports only these; `undefined`: it has none of them. */
export function withPorts(service: Service, numbers: ReadonlySet<number>): Service | undefined {
  const ports = service.ports.filter(({ number }) => numbers.has(number));
  if (ports.length === 0 || ports.length === service.ports.length) return ports.length === 0 ? undefined : service;
  const known = narrowed.get(service) ?? new Map<string, Service>();
  narrowed.set(service, known);
  const key = ports.map(({ number }) => number).join(' ');
  const narrow = known.get(key) ?? { ...service, ports };
  known.set(key, narrow);
  return narrow;
}

type Named = Pick<Service, 'namespace' | 'host'>;

/** Whether an egress names the service, and does not leave it out. */
export const isReached = (service: Named, egress: SidecarEgress, member: Caller): boolean =>
  isNamed(service, egress, member, covers);

function isNamed(
  { namespace, host }: Named,
  { hosts }: SidecarEgress,
  member: Caller,
  matches: (pattern: string, host: string) => boolean,
): boolean {
  const naming = hosts.filter(
    ({ namespace: from }) => from === '*' || (from === '.' ? member.namespace : from) === namespace,
  );
  return (
    naming.some((one) => !one.isExcluded && matches(one.host, host)) &&
    !naming.some((one) => one.isExcluded && covers(one.host, host))
  );
}
