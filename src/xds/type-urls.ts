/** The types of resources, by the URL that names them on the wire. */

const PREFIX = 'type.googleapis.com/';
export const LISTENER = `${PREFIX}envoy.config.listener.v3.Listener`;
export const ROUTES = `${PREFIX}envoy.config.route.v3.RouteConfiguration`;
export const CLUSTER = `${PREFIX}envoy.config.cluster.v3.Cluster`;
export const ENDPOINTS = `${PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment`;
export const SECRET = `${PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret`;

/** Make before break: a resource is sent after those that it names. */
const ORDER: readonly string[] = [SECRET, CLUSTER, ENDPOINTS, LISTENER, ROUTES];

export const isOrdered = (typeUrl: string): boolean => ORDER.includes(typeUrl);
export const inOrder = (a: string, b: string): number => rank(a) - rank(b);
const rank = (typeUrl: string): number => (ORDER.indexOf(typeUrl) + ORDER.length + 1) % (ORDER.length + 1);

/** A response holds the complete set, and a client that names nothing gets all; other types are named, and absence removes nothing. */
export const isComplete = (typeUrl: string): boolean => typeUrl === LISTENER || typeUrl === CLUSTER;

/** `Cluster`, for people. */
export const shortName = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
