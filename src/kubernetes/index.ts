/**
 * Objects of a Kubernetes API server, listed once and watched from then on.
 * **In**: the address and credentials of an API server, a path such as `/api/v1/pods`, selectors. **Out**: each object as it is put or
 * removed, into a sink; writes by server-side apply. **Fails**: only for a time; a failure is reported with its cause and retried with
 * back-off, and the objects stay.
 */
export { Applier } from './applier.ts';
export type { ApiServer, ReadApiServer } from './api-server.ts';
export { ApiError, SilentServer } from './api-connection.ts';
export { keySink, type KeySinkOptions } from './key-sink.ts';
export { type ServedKind, servedKinds } from './discovery.ts';
export { inCluster } from './in-cluster.ts';
export { fromKubeconfig } from './kubeconfig.ts';
export { ListWatch, type ListWatchOptions, type Meters } from './list-watch.ts';
export { TokenReviews } from './token-reviews.ts';
export type { KubeObject, Metadata, OwnerReference, ResourceSink } from './objects.ts';
