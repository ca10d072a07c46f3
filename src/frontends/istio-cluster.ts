/** Facts that Istio writes into the name of a cluster: `direction|port|subset|host`. */

/** Clusters of inbound and outbound traffic, and those without a service. */
const OF_DIRECTION =
  /^(?:(inbound|outbound)(?:-vip)?_?\.?\||(Inbound)PassthroughCluster|(?:PassthroughCluster|BlackHoleCluster)$)/;
/** The host is `name.namespace.svc.cluster.local` for services of the mesh. */
const HOST_OF_CLUSTER = /^(?:inbound|outbound)(?:-vip)?_?\.?\|\d*\|[^|]*\|(.+)$/;

/** The side of the proxy: by the name of the cluster, else by the name of the log. */
export function reporterOf(cluster: string, logName: string): 'inbound' | 'outbound' | undefined {
  const match = OF_DIRECTION.exec(cluster);
  if (match === null) return /inbound|outbound/.exec(logName)?.[0] as 'inbound' | 'outbound' | undefined;
  return match[1] === 'inbound' || match[2] !== undefined ? 'inbound' : 'outbound';
}

export const serviceHostOf = (cluster: string): string | undefined => HOST_OF_CLUSTER.exec(cluster)?.[1];

/** 1: the service's name; 2: its namespace. */
export const servicePartOf = (cluster: string, part: 1 | 2): string | undefined =>
  /^([^.]+)\.([^.]+)\.svc(?:\.|$)/.exec(serviceHostOf(cluster) ?? '')?.[part];
