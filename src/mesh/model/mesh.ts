/**
 * **In**: the objects of a mesh. **Out**: its services with their endpoints, and its rules; frozen. **Fails**: never; what objects refer to
 * and nobody declares is absent.
 */
import type { z } from 'zod';
import type { tcpKeepalive } from '../rules/destination-rule.ts';
import type { LabelSelector } from '../rules/label-selector.ts';
import type { LocalityLbSetting } from '../rules/locality.ts';
import type { HttpRetries } from '../rules/virtual-service.ts';
import type { MeshObjects } from '../sources/objects.ts';
import { CredentialAccess } from './credential-access.ts';
import { type Authorities, type Credential, Credentials } from './credentials.ts';
import { type EndpointSource, KubernetesEndpoints, kubernetesServiceOf } from './kubernetes-services.ts';
import type { Endpoint, Service } from './model.ts';
import { entryEndpoints, entryService, hostOf } from './service-entries.ts';
import { Workloads } from './workloads.ts';

export { hasLabels } from './workloads.ts';

export interface MeshSettings {
  /** `cluster.local` */
  readonly domain: string;
  /** Whose Sidecars and rules hold for all namespaces. */
  readonly rootNamespace: string;
  readonly outbound: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  /** Namespaces that none of them matches do not belong to the mesh; absent or empty: all do. */
  readonly discoverySelectors?: readonly LabelSelector[] | undefined;
  /** Of calls whose DestinationRule says nothing about localities; absent: nearer endpoints come first where failing ones are ejected. */
  readonly localityLb?: LocalityLbSetting | undefined;
  /** Where intercepted calls go on to: the address that was called, or 127.0.0.1; absent: the former. */
  readonly inbound?: 'PASSTHROUGH' | 'LOCALHOST' | undefined;
  /** Of objects without `exportTo`; absent: all namespaces. */
  readonly exportTo?:
    | Readonly<Record<'service' | 'virtualService' | 'destinationRule', readonly string[] | undefined>>
    | undefined;
  /** Each proxy writes a line for each call to this file of its own. */
  readonly accessLogFile?: { readonly path: string; readonly isJson: boolean } | undefined;
  /** Of clusters whose DestinationRule does not say. */
  readonly connections?: ConnectionDefaults | undefined;
  /** Of paths of calls; absent: what policies of paths need. */
  readonly pathNormalization?: 'DEFAULT' | 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES' | undefined;
  /** Of routes whose rule says nothing about retries. */
  readonly retries?: HttpRetries | undefined;
  /** The least version of TLS that workloads take from each other; absent: 1.2. */
  readonly mutualTlsFrom?: 'TLSv1_3' | undefined;
  /** Absent: proxies neither ask nor report. */
  readonly sluice?: SluiceSettings | undefined;
  /** Absent: workloads have no certificates, so all calls within the mesh go in cleartext. */
  readonly identities?: IdentitySettings | undefined;
}

export interface ConnectionDefaults {
  /** Milliseconds. */
  readonly connectTimeout: number | undefined;
  readonly tcpKeepalive: z.output<typeof tcpKeepalive> | undefined;
  readonly h2UpgradePolicy: 'DO_NOT_UPGRADE' | 'UPGRADE' | undefined;
}

/** Of workloads: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`. */
export interface IdentitySettings {
  readonly trustDomain: string;
  /** Others, whose certificates are taken as those of this one. */
  readonly trustDomainAliases: readonly string[];
}

/** Where proxies find Sluice; its cluster is static in their bootstrap, since an unknown one is accepted and fails silently. */
export interface SluiceSettings {
  readonly cluster: string;
  readonly checkTimeoutMs: number;
  readonly limitTimeoutMs: number;
  /** Whether calls pass while Sluice is away. */
  readonly failOpen: boolean;
  readonly limitDomain: string;
}

export const DEFAULT_SETTINGS: MeshSettings = {
  domain: 'cluster.local',
  rootNamespace: 'istio-system',
  outbound: 'ALLOW_ANY',
};

export interface Mesh {
  readonly settings: MeshSettings;
  /** By host, in the order of hosts. */
  readonly services: ReadonlyMap<string, Service>;
  /** By host. */
  readonly endpoints: ReadonlyMap<string, readonly Endpoint[]>;
  /** By the name of a Secret and its namespace; `undefined` if there is none, or none of use. */
  readonly credential: (name: string, namespace: string) => Credential | undefined;
  /** The authorities of a credential, whose Secret may have nothing else. */
  readonly credentialCa: (name: string, namespace: string) => Authorities | undefined;
  readonly credentialAccess: CredentialAccess;
  /** Oldest first. */
  readonly rules: Pick<
    MeshObjects,
    | 'VirtualService'
    | 'DestinationRule'
    | 'Gateway'
    | 'Sidecar'
    | 'PeerAuthentication'
    | 'RequestAuthentication'
    | 'Policy'
    | 'MeshPolicy'
    | 'Secret'
  >;
}

interface Declared {
  readonly service: Service;
  readonly endpoints: readonly Endpoint[];
  readonly madeOf: EndpointSource['madeOf'];
}
/** By host. */
const declaredIn = new WeakMap<Mesh, ReadonlyMap<string, Declared>>();

/**
 * `previous`: an earlier mesh. A service of it, or a list of endpoints, is the same value in the new mesh where the objects that it is made
 * of are the same values; what is made of them can thus be kept.
 */
export function meshOf(objects: MeshObjects, settings: MeshSettings = DEFAULT_SETTINGS, previous?: Mesh): Mesh {
  const workloads = new Workloads(objects);
  const kubernetes = new KubernetesEndpoints(objects, workloads);
  const before = previous?.settings === settings ? declaredIn.get(previous) : undefined;
  const declared = new Map<string, Declared>();
  // The oldest object that declares a host wins.
  const add = (host: string, make: () => Service | undefined, source: EndpointSource): void => {
    if (declared.has(host)) return;
    const { madeOf } = source;
    const known = before?.get(host);
    const isOfObject = known?.madeOf[0] === madeOf[0];
    const service = isOfObject ? known?.service : make();
    if (service === undefined) return;
    const endpoints = known !== undefined && isSame(known.madeOf, madeOf) ? known.endpoints : source.make();
    declared.set(host, { service, endpoints, madeOf });
  };
  for (const object of objects.Service) {
    const { name, namespace } = object.origin;
    add(
      `${name}.${namespace}.svc.${settings.domain}`,
      () => kubernetesServiceOf(object, settings.domain),
      kubernetes.of(object),
    );
  }
  for (const object of objects.ServiceEntry)
    for (const written of object.spec.hosts) {
      const host = hostOf(written);
      add(host, () => entryService(object, host), entryEndpoints(object, host, workloads));
    }
  const credentials = new Credentials(objects.Secret);
  const sorted = [...declared].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const mesh: Mesh = {
    settings,
    services: new Map(sorted.map(([host, { service }]) => [host, service])),
    endpoints: new Map(sorted.map(([host, { endpoints }]) => [host, endpoints])),
    credential: (name, namespace) => {
      const found = credentials.find(name, namespace);
      return 'problem' in found ? undefined : found;
    },
    credentialCa: (name, namespace) => {
      const found = credentials.findCa(name, namespace);
      return 'problem' in found ? undefined : found;
    },
    credentialAccess: new CredentialAccess(objects),
    rules: objects,
  };
  declaredIn.set(mesh, declared);
  return mesh;
}

const isSame = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((one, at) => one === b[at]);
