/**
 * The mesh as its sources describe it: services, where they run, and the rules of its traffic.
 * Names of fields are Istio's; every object says where it was written.
 */
import type { Place } from '../../yaml/nodes.ts';
import { positionText } from '../../yaml/source-text.ts';

/** Protocols that a port may have; UDP is never proxied. */
export const PROTOCOLS = [
  'http',
  'http2',
  'grpc',
  'grpc-web',
  'https',
  'tls',
  'tcp',
  'mongo',
  'redis',
  'mysql',
  'udp',
] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export const isHttp = (protocol: Protocol): boolean =>
  protocol === 'http' || protocol === 'http2' || protocol === 'grpc' || protocol === 'grpc-web';
/** HTTP/2 without TLS to the service. */
export const isHttp2 = (protocol: Protocol): boolean => protocol === 'http2' || protocol === 'grpc';

/** Where an object was written, for the operator. */
export interface Origin {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  /** Milliseconds since 1970, from `metadata.creationTimestamp`; 0 if unknown. The oldest of several rules for one host wins. */
  readonly createdMs: number;
  readonly place: Place;
}

/** `VirtualService default/reviews at reviews.yaml:12:3`, or `VirtualService default/reviews (kubernetes)`. */
export function originText({ kind, name, namespace, place }: Origin): string {
  const position = place.source.positionAt(place.start);
  return position.line === 0 ? position.file : `${kind} ${namespace}/${name} at ${positionText(position)}`;
}

/**
 * The object as Istio names it in the metadata of resources, whatever file or server it comes from:
 * `/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews`.
 */
export function configPath({ kind, name, namespace }: Origin): string {
  const kebab = kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
  return `${kind === 'Service' ? '/api/v1' : '/apis/networking.istio.io/v1'}/namespaces/${namespace}/${kebab}/${name}`;
}

export interface ServicePort {
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
}

/** How a proxy finds the endpoints of a service. */
export type Resolution =
  /** From this mesh (EDS). */
  | 'endpoints'
  /** By asking DNS for the addresses of its endpoints, or of its host. */
  | 'dns'
  /** The same for its only name; each new connection goes to the first address of the last answer. */
  | 'dns-first'
  /** The address that the client asked for. */
  | 'original';

export interface Service {
  /** `reviews.default.svc.cluster.local` */
  readonly host: string;
  readonly namespace: string;
  /** Virtual addresses; empty if it has none. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly resolution: Resolution;
  /** Outside of the mesh: without a sidecar. */
  readonly isExternal: boolean;
  /** Without a virtual address by choice: clients find the addresses of its endpoints by DNS, and call one of them. */
  readonly isHeadless: boolean;
  /** Of the certificates of its servers, where a rule of TLS names none. */
  readonly subjectAltNames: readonly string[];
  /** Gateways open its ports as Gateway objects name them, though its endpoints have others. */
  readonly keepsGatewayPorts?: boolean;
  /** Namespaces that see it: names, `*` for all, `.` for its own, `~` for none. */
  readonly exportTo: readonly string[] | undefined;
  readonly origin: Origin;
}

/** Of one age by host. */
export const oldestFirst = (services: Iterable<Service>): readonly Service[] =>
  [...services].toSorted(
    (a, b) => a.origin.createdMs - b.origin.createdMs || (a.host < b.host ? -1 : Number(a.host > b.host)),
  );

export interface Endpoint {
  /** An address of the machine, or a name that DNS knows. */
  readonly address: string;
  /** By number of the port of the service. */
  readonly ports: ReadonlyMap<number, number>;
  readonly labels: ReadonlyMap<string, string>;
  /** Of the workload. */
  readonly namespace: string;
  readonly serviceAccount: string | undefined;
  /** It has a proxy of the mesh that takes mutual TLS, unless a rule disables that. */
  readonly hasSidecar: boolean;
  /** `region/zone/sub-zone` */
  readonly locality: string | undefined;
  /** Calls go to those alone that are. */
  readonly isReady: boolean;
  /** Share of traffic among its neighbours. */
  readonly weight: number | undefined;
}

/** A rule of networking.istio.io as its schema reads it. */
export interface MeshRule<S> {
  readonly origin: Origin;
  readonly spec: S;
}
