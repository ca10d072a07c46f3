/**
 * Servers of Gateways that get nothing beside others.
 * **In**: a mesh. **Out**: warnings at servers whose names or port another one has, and at certificates that nobody uses. **Fails**: never.
 */
import type { Findings } from '../yaml/findings.ts';
import { isHttpName } from './envoy/listener.ts';
import type { Mesh } from './model/mesh.ts';
import type { GatewayServer } from './rules/gateway.ts';
import { type MeshObject, placeAt } from './sources/objects.ts';

interface Placed {
  readonly gateway: MeshObject<'Gateway'>;
  readonly at: number;
  readonly server: GatewayServer;
}

export function checkGateways({ rules: { Gateway } }: Mesh, findings: Findings): void {
  const placed = Gateway.flatMap((gateway) =>
    gateway.spec.servers.map((server, at): Placed => ({ gateway, at, server })),
  );
  for (const servers of Map.groupBy(placed, listenerOf).values()) {
    checkNames(servers, findings);
    checkPlain(servers, findings);
  }
  for (const one of placed) checkCertificates(one, findings);
}

/** By the workloads that are selected, address and port. */
const listenerOf = ({ gateway, server: { bind = '', port } }: Placed): string =>
  JSON.stringify([Object.entries(gateway.spec.selector).toSorted(([a], [b]) => (a < b ? -1 : 1)), bind, port.number]);

const nameOf = ({ gateway: { origin } }: Placed): string => `${origin.namespace}/${origin.name}`;

function warn({ gateway, at }: Placed, path: readonly string[], message: string, findings: Findings): void {
  findings.add('warning', 'MESH_UNUSED', placeAt(gateway, ['spec', 'servers', at, ...path]), message);
}

const isPassedOn = ({ tls }: GatewayServer): boolean =>
  tls !== undefined && (tls.mode === undefined || tls.mode === 'PASSTHROUGH');

/** Servers of one port are told apart by their names in TLS. */
function checkNames(servers: readonly Placed[], findings: Findings): void {
  const owners = new Map<string, Placed>();
  for (const one of servers) {
    const { port, hosts, tls } = one.server;
    const isPassed = isPassedOn(one.server) && !isHttpName(port.protocol);
    if (tls?.mode === undefined && !isPassed) continue;
    for (const { host } of hosts) {
      // The rules of passed connections name their hosts, so those of several servers fit into one wildcard.
      if (isPassed && host.startsWith('*')) continue;
      const owner = owners.get(host);
      if (owner === undefined) owners.set(host, one);
      else {
        const whose = `TLS to ${host} at port ${port.number} goes to the older server of ${nameOf(owner)}`;
        warn(
          one,
          ['hosts'],
          `${whose}; ${isPassed ? 'rules of this one hold for nobody' : 'this one is left out'}`,
          findings,
        );
      }
    }
  }
}

/** Connections without TLS do not say for whom they are, so they are all HTTP, or none is. */
function checkPlain(servers: readonly Placed[], findings: Findings): void {
  const isForHttp = ({ server }: Placed): boolean => isHttpName(server.port.protocol) && server.tls?.mode === undefined;
  const http = servers.find(isForHttp);
  if (http === undefined) return;
  for (const one of servers) {
    const { port, tls } = one.server;
    if (isForHttp(one) || tls !== undefined) continue;
    const message = `connections to port ${port.number} go to the server of ${http.server.port.protocol} of ${nameOf(http)}, so this one of ${port.protocol} is left out; give it a port of its own`;
    warn(one, ['port'], message, findings);
  }
}

function checkCertificates(one: Placed, findings: Findings): void {
  const { tls } = one.server;
  if (tls === undefined || !isPassedOn(one.server) || tls.httpsRedirect === true) return;
  for (const field of ['credentialName', 'serverCertificate', 'privateKey', 'caCertificates'] as const)
    if (tls[field] !== undefined)
      warn(
        one,
        ['tls', field],
        `mode PASSTHROUGH passes TLS on as it is, so ${field} has no effect; write mode SIMPLE or MUTUAL to end TLS here`,
        findings,
      );
}
