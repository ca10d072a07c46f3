/** Names of hosts: short ones, wildcards, and which of several is the most specific; and names of gateways. */
import type { GatewayHost } from '../rules/gateway.ts';
import { MESH_GATEWAY } from '../rules/virtual-service.ts';

/** A name without a dot is completed by the namespace of its rule, as `reviews` to `reviews.default.svc.cluster.local`. */
export function completeHost(host: string, namespace: string, domain: string): string {
  const lowered = host.toLowerCase().replace(/\.$/, '');
  return lowered.includes('.') || lowered.startsWith('*') ? lowered : `${lowered}.${namespace}.svc.${domain}`;
}

/** Whether `pattern`, which may begin with `*`, covers `host`; `*.example.com` does not cover `example.com`. */
export function covers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*')) return pattern === host;
  const end = pattern.slice(1);
  return host.length > end.length ? host.endsWith(end) : pattern === host || (end === host && !end.startsWith('.'));
}

/** Whether some name matches both; each may begin with `*`. */
export const overlap = (a: string, b: string): boolean => covers(a, b) || covers(b, a);

/** Exact before wildcard, longer before shorter, then by the alphabet. */
export function bySpecificity(a: string, b: string): number {
  const [isWildA, isWildB] = [a.startsWith('*'), b.startsWith('*')];
  if (isWildA !== isWildB) return isWildA ? 1 : -1;
  return b.length - a.length || (a < b ? -1 : Number(a > b));
}

/** Names by which proxies of a namespace know a service: complete, also with a dot at its end, and the short forms within the mesh. */
export function namesOf(host: string, clientNamespace: string, domain: string): readonly string[] {
  const suffix = `.svc.${domain}`;
  const complete = [host, `${host}.`];
  if (!host.endsWith(suffix) || host.startsWith('*')) return complete;
  const [name = '', namespace = '', ...others] = host.slice(0, -suffix.length).split('.');
  if (others.length > 0 || namespace === '') return complete;
  return [
    ...complete,
    ...(namespace === clientNamespace ? [name] : []),
    `${name}.${namespace}`,
    `${name}.${namespace}.svc`,
  ];
}

/** Of the hosts of a server, those that VirtualServices of a namespace may serve. `own`: the namespace of the gateway. */
export const hostsFor = (hosts: readonly GatewayHost[], own: string, namespace: string): readonly string[] =>
  hosts.flatMap(({ namespace: from, host }) =>
    from === '*' || (from === '.' ? own : from) === namespace ? [host] : [],
  );

/** Whether a server with these hosts takes calls to the host of a rule. */
export const isServed = (host: string, hosts: readonly string[]): boolean =>
  hosts.some((pattern) => pattern === '*' || host === '*' || overlap(pattern, host));

/** `namespace/name`, as gateways are known; `mesh` is none. */
export const completeGateway = (name: string, namespace: string): string =>
  name === MESH_GATEWAY || name.includes('/') ? name : `${namespace}/${name}`;
