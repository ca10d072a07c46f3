/**
 * The kinds of objects that a mesh is made of.
 * **In**: the head of an object. **Out**: how its spec is read, or that it says nothing about the mesh. **Fails**: never.
 */
import type { z } from 'zod';
import { isConfigOfIstio, retired } from '../../text/config-istio.ts';
import { destinationRule } from './destination-rule.ts';
import { gateway, sidecar } from './gateway.ts';
import { authenticationPolicy, meshPolicy, peerAuthentication } from './peer-authentication.ts';
import type { ObjectHead } from './read-object.ts';
import {
  endpointSlice,
  kubernetesEndpoints,
  kubernetesNamespace,
  kubernetesNode,
  kubernetesService,
  pod,
  secret,
  serviceEntry,
  workloadEntry,
} from './services.ts';
import { requestAuthentication } from './request-authentication.ts';
import { virtualService } from './virtual-service.ts';

/** By kind: its schema, and the key of the object that holds it; without a key it is the object itself. */
export const KINDS = {
  VirtualService: { schema: virtualService, part: 'spec' },
  DestinationRule: { schema: destinationRule, part: 'spec' },
  Gateway: { schema: gateway, part: 'spec' },
  Sidecar: { schema: sidecar, part: 'spec' },
  ServiceEntry: { schema: serviceEntry, part: 'spec' },
  WorkloadEntry: { schema: workloadEntry, part: 'spec' },
  PeerAuthentication: { schema: peerAuthentication, part: 'spec' },
  RequestAuthentication: { schema: requestAuthentication, part: 'spec' },
  Policy: { schema: authenticationPolicy, part: 'spec' },
  MeshPolicy: { schema: meshPolicy, part: 'spec' },
  Service: { schema: kubernetesService, part: 'spec' },
  Endpoints: { schema: kubernetesEndpoints, part: undefined },
  EndpointSlice: { schema: endpointSlice, part: undefined },
  Pod: { schema: pod, part: undefined },
  Node: { schema: kubernetesNode, part: undefined },
  Namespace: { schema: kubernetesNamespace, part: undefined },
  Secret: { schema: secret, part: undefined },
} as const satisfies Readonly<Record<string, { readonly schema: z.ZodType; readonly part: string | undefined }>>;

export type Kind = keyof typeof KINDS;
export type SpecOf<K extends Kind> = z.output<(typeof KINDS)[K]['schema']>;

const NETWORKING = ['networking.istio.io/v1', 'networking.istio.io/v1beta1', 'networking.istio.io/v1alpha3'];
const SECURITY = ['security.istio.io/v1', 'security.istio.io/v1beta1'];
const AUTHENTICATION = ['authentication.istio.io/v1alpha1'];
/** The preferred one first. */
export const VERSIONS: Readonly<Record<Kind, readonly string[]>> = {
  VirtualService: NETWORKING,
  DestinationRule: NETWORKING,
  Gateway: NETWORKING,
  Sidecar: NETWORKING,
  ServiceEntry: NETWORKING,
  WorkloadEntry: NETWORKING,
  PeerAuthentication: SECURITY,
  RequestAuthentication: SECURITY,
  Policy: AUTHENTICATION,
  MeshPolicy: AUTHENTICATION,
  Service: ['v1'],
  Endpoints: ['v1'],
  EndpointSlice: ['discovery.k8s.io/v1'],
  Pod: ['v1'],
  Node: ['v1'],
  Namespace: ['v1'],
  Secret: ['v1'],
};

/** Groups of the policy engine, whose documents `sluice serve` reads. */
const OF_THE_POLICY = ['security.istio.io/', 'rbac.istio.io/'];
/** Kinds of Kubernetes that run the workloads of a mesh, and say nothing about its traffic. */
const OF_KUBERNETES = ['apps/', 'extensions/', 'batch/', 'policy/', 'autoscaling/', 'rbac.authorization.k8s.io/'];
const CORE_KINDS = ['ServiceAccount', 'ConfigMap', 'PersistentVolume', 'PersistentVolumeClaim'];
/** Enforced by the network of a cluster. */
const NETWORK_POLICY = 'NetworkPolicy';

/** It has a Gateway, too. */
const GATEWAY_API = 'gateway.networking.k8s.io/';
const ROUTES = 'write a Gateway and a VirtualService of networking.istio.io instead';
/** What to write in place of kinds that users of Istio know. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ['EnvoyFilter', 'limits, checks and logs of calls are rules of `sluice serve`; proxies take no patches'],
  [
    'Telemetry',
    'accessLogFile in a MeshConfig makes proxies log calls; metrics and other logs are rules of `sluice serve`',
  ],
  ['WasmPlugin', 'a plugin of `sluice serve` decides about calls instead (docs/plugins.md)'],
  ['TrafficExtension', 'a plugin of `sluice serve` decides about calls instead (docs/plugins.md)'],
  ['ProxyConfig', 'write defaultConfig in a MeshConfig instead'],
  ['WorkloadGroup', 'write a WorkloadEntry for each workload instead'],
  ['IstioOperator', 'write its meshConfig into a file for --meshConfigFile'],
  ['Ingress', ROUTES],
]);

export type KindOf =
  | { readonly kind: Kind }
  /** Read by others. */
  | { readonly kind: 'other' }
  /** A sentence without its full stop. */
  | { readonly kind: 'unknown'; readonly why: string };

export function kindOf({ kind, apiVersion }: Pick<ObjectHead, 'kind' | 'apiVersion'>): KindOf {
  const versions = Object.hasOwn(VERSIONS, kind) ? VERSIONS[kind as Kind] : undefined;
  if (versions?.includes(apiVersion) === true) return { kind: kind as Kind };
  const isOther = [...OF_THE_POLICY, ...OF_KUBERNETES].some((group) => apiVersion.startsWith(group));
  // PeerAuthentication of a version that nobody knows, or an Ingress of `extensions`, would be in force nowhere.
  if (isOther && !['PeerAuthentication', 'Ingress'].includes(kind)) return { kind: 'other' };
  if ((apiVersion === 'v1' && CORE_KINDS.includes(kind)) || kind === NETWORK_POLICY) return { kind: 'other' };
  return {
    kind: 'unknown',
    why:
      versions === undefined || apiVersion.startsWith(GATEWAY_API)
        ? `the control plane does not know ${kind} of ${apiVersion}; ${insteadOf(kind, apiVersion)}`
        : `${kind} has the apiVersion ${apiVersion}; expected ${versions.join(', ')}`,
  };
}

function insteadOf(kind: string, apiVersion: string): string {
  if (apiVersion.startsWith(GATEWAY_API)) return ROUTES;
  if (isConfigOfIstio(apiVersion)) return `write ${retired(kind).instead}`;
  return INSTEAD.get(kind) ?? `it reads ${Object.keys(KINDS).join(', ')}`;
}
