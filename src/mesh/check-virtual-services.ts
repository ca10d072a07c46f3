/**
 * Parts of VirtualServices that no call can reach.
 * **In**: a mesh. **Out**: warnings at routes behind one that takes every call, at matches that stand twice, at paths that no call has,
 * and at hosts that no server of their gateways takes. **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import type { Mesh } from './model/mesh.ts';
import { gatewayName } from './envoy/route-tables.ts';
import { completeGateway, completeHost, hostsFor, isServed } from './resolve/hosts.ts';
import { type HttpMatch, MESH_GATEWAY } from './rules/virtual-service.ts';
import { type MeshObject, placeAt } from './sources/objects.ts';

type Rule = MeshObject<'VirtualService'>;

export function checkVirtualServices(mesh: Mesh, findings: Findings): void {
  for (const rule of mesh.rules.VirtualService) {
    checkOrder(rule, findings);
    checkRepeated(rule, findings);
    checkPaths(rule, findings);
    checkServers(rule, mesh, findings);
  }
}

function checkOrder(rule: Rule, findings: Findings): void {
  const { http, tcp } = rule.spec;
  const lists = [
    ['http', http.map(({ match, delegate }) => delegate === undefined && (match?.some(takesAll) ?? true))],
    ['tcp', tcp.map(({ match }) => match?.some((one) => JSON.stringify(one) === NO_TEST) ?? true)],
  ] as const;
  for (const [part, taking] of lists) {
    const last = taking.indexOf(true);
    if (last === -1 || last === taking.length - 1) continue;
    warn(
      rule,
      ['spec', part, last + 1],
      `no call comes so far: ${part}[${last}] before it takes every one; put the route without a match last`,
      findings,
    );
  }
}

const NO_TEST = '{"destinationSubnets":[],"sourceLabels":{}}';

/** A match that stands before in the same list: its calls go to that route. */
function checkRepeated(rule: Rule, findings: Findings): void {
  const seen = new Map<string, string>();
  for (const [at, { match = [] }] of rule.spec.http.entries())
    for (const [nth, { name: _name, statPrefix: _statPrefix, ...tests }] of match.entries()) {
      const [key, place] = [JSON.stringify(tests), `http[${at}].match[${nth}]`];
      const first = seen.get(key);
      if (first === undefined) seen.set(key, place);
      else
        warn(
          rule,
          ['spec', 'http', at, 'match', nth],
          `no call comes so far: ${first} before it is the same`,
          findings,
        );
    }
}

/** At each port and gateway, of each caller. */
function takesAll(match: HttpMatch): boolean {
  const { uri, scheme, method, authority, port, sourceNamespace, gateways } = match;
  const { headers, withoutHeaders, queryParams, sourceLabels } = match;
  if ([scheme, method, authority, port, sourceNamespace, gateways].some((one) => one !== undefined)) return false;
  if ([headers, withoutHeaders, queryParams, sourceLabels].some((one) => Object.keys(one).length > 0)) return false;
  return uri === undefined || uri.prefix === '/' || uri.regex === '*' || uri.regex === '.*';
}

function checkPaths(rule: Rule, findings: Findings): void {
  for (const [at, { match = [] }] of rule.spec.http.entries())
    for (const [nth, { uri }] of match.entries())
      for (const form of ['exact', 'prefix'] as const) {
        const path = uri?.[form];
        if (path === undefined || path.startsWith('/') || path === '*') continue;
        warn(
          rule,
          ['spec', 'http', at, 'match', nth, 'uri', form],
          `no call has such a path, since paths begin with /; write ${JSON.stringify(`/${path}`)}`,
          findings,
        );
      }
}

function checkServers(rule: Rule, { rules, settings }: Mesh, findings: Findings): void {
  const { spec, origin } = rule;
  if (spec.gateways.includes(MESH_GATEWAY)) return;
  const names = new Set(spec.gateways.map((name) => completeGateway(name, origin.namespace)));
  const named = rules.Gateway.filter((gateway) => names.has(gatewayName(gateway)));
  if (named.length === 0) return;
  const served = named.flatMap((gateway) =>
    gateway.spec.servers.flatMap(({ hosts }) => hostsFor(hosts, gateway.origin.namespace, origin.namespace)),
  );
  for (const [at, host] of spec.hosts.entries())
    if (!isServed(completeHost(host, origin.namespace, settings.domain), served))
      warn(
        rule,
        ['spec', 'hosts', at],
        `no server of ${named.map(gatewayName).join(', ')} takes calls to ${host} from the rules of ${origin.namespace}; they are answered with 404`,
        findings,
      );
}

function warn(rule: Rule, path: readonly (string | number)[], message: string, findings: Findings): void {
  findings.add('warning', 'MESH_UNUSED', placeAt(rule, path), message);
}
