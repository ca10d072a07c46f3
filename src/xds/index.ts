/**
 * The discovery service (xDS v3), aggregated, as state of the world and as differences.
 * **In**: the resources of each proxy, from a {@link ResourceSource}, and a call when they change. **Out**: gRPC methods that bring them to
 * proxies in an order that loses no request, and the state of each proxy.
 * **Fails**: a refusal (NACK) is recorded with the objects that caused it; a proxy that is slow, gone or refuses delays no other.
 *
 * It knows nothing of meshes; the rules of the protocol are those of Envoy's documentation (xds_protocol.rst) and of its behaviour in 1.40.
 */
export { type ProxyState, XdsServer, type XdsServerOptions } from './server.ts';
export type { XdsMeters } from './push.ts';
export type { Warming } from './warming.ts';
export type { Proxy, ProxyResources, Refusal, Resource, Resources, ResourceSource, SourceOfProxy } from './resource.ts';
export { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, shortName } from './type-urls.ts';
export { Debounce } from './debounce.ts';
export { versionOf } from './changes.ts';
export { LayeredResources } from './layered-resources.ts';
