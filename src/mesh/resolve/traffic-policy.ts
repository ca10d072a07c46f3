/**
 * How calls reach one port of a host, or a subset of it.
 * Where the port has settings of its own, all parts come from there, and what they leave out is the default, not the rule's; then the parts
 * of the subset replace those, each as a whole, and settings of the subset for the port replace the four that they can have. (As istiod was
 * seen to do.)
 */
import type { MeshSettings } from '../model/mesh.ts';
import type { Service } from '../model/model.ts';
import type { DestinationRule, PortPolicy, Subset, TrafficPolicy } from '../rules/destination-rule.ts';

export function policyFor(rule: DestinationRule | undefined, port: number, subset?: Subset): PortPolicy {
  const base: PortPolicy = atPort(rule?.trafficPolicy, port) ?? rule?.trafficPolicy ?? {};
  const own: PortPolicy = subset?.trafficPolicy ?? {};
  const ofPort = atPort(subset?.trafficPolicy, port);
  if (ofPort !== undefined) return { retryBudget: base.retryBudget, proxyProtocol: base.proxyProtocol, ...ofPort };
  return {
    loadBalancer: own.loadBalancer ?? base.loadBalancer,
    connectionPool: own.connectionPool ?? base.connectionPool,
    outlierDetection: own.outlierDetection ?? base.outlierDetection,
    tls: own.tls ?? base.tls,
    retryBudget: own.retryBudget ?? base.retryBudget,
    proxyProtocol: own.proxyProtocol ?? base.proxyProtocol,
  };
}

/** With the mesh's settings where its rule does not say. */
export function withDefaults(
  policy: PortPolicy,
  { isExternal }: Pick<Service, 'isExternal'>,
  { connections }: MeshSettings,
): PortPolicy {
  if (connections === undefined) return policy;
  const { tcp, http } = policy.connectionPool ?? {};
  const { connectTimeout, tcpKeepalive, h2UpgradePolicy } = connections;
  return {
    ...policy,
    connectionPool: {
      tcp: {
        ...tcp,
        connectTimeout: tcp?.connectTimeout ?? connectTimeout,
        tcpKeepalive: tcp?.tcpKeepalive ?? tcpKeepalive,
      },
      http: { ...http, h2UpgradePolicy: http?.h2UpgradePolicy ?? (isExternal ? undefined : h2UpgradePolicy) },
    },
  };
}

const atPort = (policy: TrafficPolicy | undefined, port: number): PortPolicy | undefined =>
  policy?.portLevelSettings.find((one) => one.port.number === port);
