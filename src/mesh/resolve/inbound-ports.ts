/**
 * The ports at which the application of a sidecar is called.
 * **In**: the mesh, and a member with its Sidecar. **Out**: its ports, in the order of their numbers. **Fails**: never.
 */
import type { Mesh } from '../model/mesh.ts';
import { oldestFirst, type Origin, type Protocol, type Service, type ServicePort } from '../model/model.ts';
import { protocolOf } from '../model/port-protocol.ts';
import { isCapturePort, isIntercepted } from './interception.ts';
import type { Scope } from './scope.ts';

export interface InboundPort {
  /** At which the application is called; for an endpoint of a service, the port of the endpoint. */
  readonly number: number;
  readonly protocol: Protocol;
  /** The service whose endpoint it is. */
  readonly target: Target | undefined;
  /** Where the application listens, if its Sidecar says so: `127.0.0.1:PORT`, `0.0.0.0:PORT` for its own address, `unix:///PATH`. */
  readonly endpoint: string | undefined;
  readonly bind: string | undefined;
  /** Envoy opens the port itself, since nothing is intercepted there. */
  readonly isBound: boolean;
  readonly origin: Origin;
}

/** A port of a service, at one of its endpoints. */
export interface Target {
  readonly service: Service;
  readonly port: ServicePort;
  /** Of the endpoint. */
  readonly number: number;
}

/** Those that its Sidecar names; without any, and if calls are intercepted, those of the services whose endpoint it is. */
export function inboundPorts({ mesh, member, sidecar }: Scope): readonly InboundPort[] {
  const targets = targetsAt(mesh, member.address);
  const isFree = !isIntercepted(member);
  if (sidecar !== undefined && sidecar.spec.ingress.length > 0)
    return sidecar.spec.ingress.map(({ port: { number, protocol }, bind, captureMode, defaultEndpoint }) => ({
      number,
      protocol: protocolOf({ name: '', protocol }),
      target: targets.find((one) => one.number === number),
      endpoint: defaultEndpoint,
      bind,
      isBound: isFree || captureMode === 'NONE',
      origin: sidecar.origin,
    }));
  if (isFree) return [];
  // Of several services with one endpoint the oldest says which protocol it speaks.
  const byNumber = new Map<number, InboundPort>();
  for (const target of targets) {
    const { service, port, number } = target;
    if (port.protocol === 'udp' || isCapturePort(number) || byNumber.has(number)) continue;
    byNumber.set(number, {
      number,
      protocol: port.protocol,
      target,
      endpoint: undefined,
      bind: undefined,
      isBound: false,
      origin: service.origin,
    });
  }
  return [...byNumber.values()].toSorted((a, b) => a.number - b.number);
}

/** By address. */
const targetsOf = new WeakMap<Mesh, ReadonlyMap<string, readonly Target[]>>();

/**
 * Oldest service first; also of endpoints that are not ready, since an Envoy whose chains came and went with its readiness would cut
 * connections.
 */
export function targetsAt(mesh: Mesh, address: string): readonly Target[] {
  let targets = targetsOf.get(mesh);
  if (targets === undefined) {
    targets = allTargets(mesh);
    targetsOf.set(mesh, targets);
  }
  return targets.get(address) ?? [];
}

function allTargets({ services, endpoints }: Mesh): ReadonlyMap<string, readonly Target[]> {
  const byAddress = new Map<string, Target[]>();
  for (const service of oldestFirst(services.values()))
    for (const { address, ports } of endpoints.get(service.host) ?? [])
      for (const port of service.ports) {
        const number = ports.get(port.number);
        if (number === undefined) continue;
        const own = byAddress.get(address);
        if (own === undefined) byAddress.set(address, [{ service, port, number }]);
        else own.push({ service, port, number });
      }
  return byAddress;
}
