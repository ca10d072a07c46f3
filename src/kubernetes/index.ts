/**
 * Objects of a Kubernetes API server, listed once and watched from then on.
 * **In**: the address and credentials of an API server, a path such as `/api/v1/pods`, selectors. **Out**: each object as it is put or
 * removed, into a sink. **Fails**: never for good; a failure is told with its cause and retried with back-off, and what is known stays.
 */
export type { ApiServer, ReadApiServer } from './api-server.ts';
export { inCluster, type InClusterOptions } from './in-cluster.ts';
export { fromKubeconfig } from './kubeconfig.ts';
export { ListWatch, type ListWatchOptions, type Meters } from './list-watch.ts';
export type { KubeObject, Metadata, OwnerReference, ResourceSink } from './objects.ts';
