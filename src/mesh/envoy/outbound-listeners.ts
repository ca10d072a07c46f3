/**
 * How calls of the application of a sidecar leave, and the tables of their routes.
 * **In**: what a proxy sees of the mesh. **Out**: its outbound listeners, and route tables. **Fails**: never.
 *
 * Intercepted calls arrive at `virtualOutbound`, which hands them to the listener of the address that they were for, if there is one; these
 * are not bound. Otherwise each listener is, and the application calls it by its address.
 */
import { isIP } from 'node:net';
import { isHttp, oldestFirst, originText, type Service, type ServicePort } from '../model/model.ts';
import { CAPTURE_PORTS, isCapturePort, isIntercepted, loopbackOf, wildcardOf } from '../resolve/interception.ts';
import type { Scope } from '../resolve/scope.ts';
import { isReached } from '../resolve/views.ts';
import type { SidecarEgress } from '../rules/gateway.ts';
import { httpManager } from './http-manager.ts';
import { isHttpName, listener, type Listening, refuseOwn, refusePort, tcpChain } from './listener.ts';
import type { Made } from './made.ts';
import { BLACK_HOLE, listenerName, PASSTHROUGH, sidecarRoutes, VIRTUAL_OUTBOUND } from './names.ts';
import { compact, type Json } from './parts.ts';
import { type PlainService, plainChains } from './plain-chains.ts';
import { sidecarTable } from './route-tables.ts';

export function outboundListeners(scope: Scope): Listening {
  const listeners: Made[] = [];
  const tables = new Map<number, Made>();
  for (const place of placesOf(scope)) {
    if (place.isForHttp && !tables.has(place.number)) tables.set(place.number, sidecarTable(scope, place.number));
    const made = place.isForHttp ? httpListener(place, scope) : plainListener(place, scope);
    if (made !== undefined) listeners.push(made);
  }
  if (isIntercepted(scope.member)) listeners.push(virtualOutbound(scope));
  return { listeners, tables: [...tables.values()] };
}

// ---------------------------------------------------------- places

/** Where calls of the application arrive. */
interface Place {
  readonly address: string;
  readonly number: number;
  /** One listener for all HTTP services of a port number, told apart by their hosts. */
  readonly isForHttp: boolean;
  readonly isBound: boolean;
  readonly services: PlainService[];
}

/** The ports that its Sidecar names, and those of all services that it sees where the Sidecar leaves ports open. */
function placesOf(scope: Scope): readonly Place[] {
  const egress = scope.sidecar?.spec.egress ?? [];
  const places = new Places(scope);
  for (const one of egress) if (one.port !== undefined) places.addNamed(one, one.port);
  const named = places.list();
  const open = egress.length === 0 ? [undefined] : egress.filter(({ port }) => port === undefined);
  for (const one of open) places.addServices(one, new Set(named));
  const others = places.list().filter((place) => !named.includes(place));
  return [...named, ...others.toSorted((a, b) => a.number - b.number || compare(a.address, b.address))];
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

class Places {
  readonly #scope: Scope;
  readonly #byName = new Map<string, Place>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  list(): readonly Place[] {
    return [...this.#byName.values()];
  }

  addNamed(egress: SidecarEgress, { number, protocol }: NonNullable<SidecarEgress['port']>): void {
    const isBound = this.#isBound(egress);
    if (isHttpName(protocol)) {
      this.#at(egress.bind ?? this.#common(isBound), number, true, isBound);
      return;
    }
    for (const service of this.#reached(egress))
      for (const port of service.ports)
        if (port.number === number && !isHttp(port.protocol)) this.#addPlain(service, port, isBound, egress.bind);
  }

  /** Of an HTTP and another service at one address the oldest has it. */
  addServices(egress: SidecarEgress | undefined, except: ReadonlySet<Place>): void {
    const isBound = this.#isBound(egress);
    for (const service of this.#reached(egress))
      for (const port of service.ports) {
        if (port.protocol === 'udp') continue;
        if (isHttp(port.protocol)) this.#at(egress?.bind ?? this.#common(isBound), port.number, true, isBound);
        else this.#addPlain(service, port, isBound, egress?.bind, except);
      }
  }

  #reached(egress: SidecarEgress | undefined): readonly Service[] {
    const { services, member } = this.#scope;
    return oldestFirst(services.values()).filter(
      (service) => egress === undefined || isReached(service, egress, member),
    );
  }

  #isBound(egress: SidecarEgress | undefined): boolean {
    return !isIntercepted(this.#scope.member) || egress?.captureMode === 'NONE';
  }

  #common(isBound: boolean): string {
    const { member } = this.#scope;
    return isBound ? loopbackOf(member) : wildcardOf(member);
  }

  #at(address: string, number: number, isForHttp: boolean, isBound: boolean): Place {
    const name = listenerName(address, number);
    const place = this.#byName.get(name) ?? { address, number, isForHttp, isBound, services: [] };
    // At the wildcard address, the ports of interception belong to its own listeners.
    if (isBound || !isCapturePort(number)) this.#byName.set(name, place);
    return place;
  }

  #addPlain(
    service: Service,
    port: ServicePort,
    isBound: boolean,
    bind: string | undefined,
    except?: ReadonlySet<Place>,
  ): void {
    const common = bind ?? this.#common(isBound);
    const add = (address: string, ranges: readonly string[] = []): void => {
      const place = this.#at(address, port.number, false, isBound);
      if (!place.isForHttp && except?.has(place) !== true)
        place.services.push({ service, port, ranges, isAlone: address !== common });
    };
    if (bind !== undefined || isBound) return add(common);
    const [ranges, addresses] = [
      service.addresses.filter((one) => one.includes('/')),
      service.addresses.filter((one) => !one.includes('/')),
    ];
    for (const address of addresses) add(address);
    if (ranges.length > 0) add(common, ranges);
    if (service.addresses.length > 0) return undefined;
    const pods = this.#addressesOf(service, port);
    if (pods === undefined) return add(common);
    for (const address of pods) add(address);
    return undefined;
  }

  /** Of its endpoints, if clients call these. */
  #addressesOf({ host, isHeadless, resolution }: Service, { number }: ServicePort): readonly string[] | undefined {
    const endpoints = this.#scope.mesh.endpoints.get(host) ?? [];
    if (!isHeadless && (resolution !== 'original' || endpoints.length === 0)) return undefined;
    return endpoints
      .filter(({ address, ports, isReady }) => isReady && ports.has(number) && isIP(address) !== 0)
      .map(({ address }) => address);
  }
}

// ---------------------------------------------------------- listeners

const outboundFields = ({ isBound }: Pick<Place, 'isBound'>): Json => ({
  traffic_direction: 'OUTBOUND',
  ...(isBound ? {} : { bind_to_port: false }),
});

function httpListener(place: Place, scope: Scope): Made {
  const { address, number, isBound } = place;
  const manager = httpManager({
    statPrefix: `outbound_${listenerName(address, number)}`,
    routes: { table: sidecarRoutes(number) },
    direction: 'outbound',
    isGrpcWeb: [...scope.at(number).services.values()].some(({ ports }) =>
      ports.some((port) => port.number === number && port.protocol === 'grpc-web'),
    ),
    scope,
  });
  const { sidecar } = scope;
  return listener(
    address,
    number,
    [...(isBound ? [] : [refuseOwn(scope)]), { filters: [manager] }],
    outboundFields(place),
    sidecar === undefined ? undefined : originText(sidecar.origin),
  );
}

function plainListener(place: Place, scope: Scope): Made | undefined {
  const { address, number, isBound, services } = place;
  const [first] = services;
  if (first === undefined) return undefined;
  const chains = plainChains(services, scope);
  // A pod's own address is not among these.
  const isVirtual = isBound || services.some(({ service }) => service.addresses.includes(address));
  const isForAny = chains.some((chain) => chain['filter_chain_match'] === undefined);
  return listener(
    address,
    number,
    [...(isVirtual ? [] : [refuseOwn(scope)]), ...chains],
    compact({
      ...outboundFields(place),
      default_filter_chain: isBound || isForAny ? undefined : unknownChain(scope),
    }),
    originText(first.service.origin),
  );
}

/** Calls to addresses that the mesh does not know. */
const unknownChain = (scope: Scope): Json =>
  tcpChain(scope.outbound === 'ALLOW_ANY' ? PASSTHROUGH : BLACK_HOLE, 'outbound', scope);

const virtualOutbound = (scope: Scope): Made =>
  listener(
    wildcardOf(scope.member),
    CAPTURE_PORTS.outbound,
    [refusePort(CAPTURE_PORTS.outbound, 'outbound', scope), refuseOwn(scope), unknownChain(scope)],
    compact({
      name: VIRTUAL_OUTBOUND,
      traffic_direction: 'OUTBOUND',
      use_original_dst: true,
      transparent: scope.member.interception === 'TPROXY' ? true : undefined,
    }),
  );
