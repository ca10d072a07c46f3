/**
 * Who may have the credentials that Gateways name: workloads that such a Gateway selects.
 * **In**: Gateways, Pods, WorkloadEntries. **Out**: the Secrets that gateways need, and whether the workloads of a service account may have
 * one. **Fails**: never.
 *
 * Labels and service accounts are those of the objects: what a proxy says of itself proves nothing. All workloads of a service account have
 * one identity, so what one of them may have all may have.
 */
import type { ServerTls } from '../rules/gateway.ts';
import type { MeshObject, MeshObjects } from '../sources/objects.ts';
import { hasLabels, hasEnded, labelsOfEntry } from './workloads.ts';

type Objects = Pick<MeshObjects, 'Gateway' | 'Pod' | 'WorkloadEntry'>;
type Labels = ReadonlyMap<string, string>;

export interface ServiceAccount {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface CredentialRefusal {
  readonly why: string;
  /** The object that would allow it. */
  readonly add: string;
}

/** The Secret that the TLS of a server names; a mode without TLS, or with that of the service, has none. */
export const credentialNameOf = ({ mode, credentialName }: ServerTls): string | undefined =>
  mode === undefined || mode === 'PASSTHROUGH' ? undefined : credentialName;

/** Looks at the objects when it is first asked, since most meshes have no credentials. */
export class CredentialAccess {
  readonly #objects: Objects;
  #labels: ReadonlyMap<string, readonly Labels[]> | undefined;
  #gateways: ReadonlyMap<string, readonly MeshObject<'Gateway'>[]> | undefined;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /** `undefined`: the workloads of this service account may have the credential. */
  refusal(credential: string, { namespace, serviceAccount }: ServiceAccount): CredentialRefusal | undefined {
    const gateways = (this.#gateways ??= byCredential(this.#objects.Gateway)).get(credential) ?? [];
    const workloads = (this.#labels ??= labelsByAccount(this.#objects)).get(`${namespace}/${serviceAccount}`) ?? [];
    if (workloads.some((labels) => gateways.some((gateway) => selects(gateway, { namespace, labels }))))
      return undefined;
    const named = gateways.slice(0, MAX_NAMED).map((gateway) => wantedBy(gateway, namespace));
    const wanted = named.length === 0 ? `a selector: no Gateway names ${credential}` : named.join(', or ');
    return {
      why:
        workloads.length === 0
          ? `no Pod or WorkloadEntry in the namespace ${namespace} has the service account ${serviceAccount}`
          : `of ${workloads.length} Pods and WorkloadEntries with this service account none has ${wanted}`,
      add: `a Pod or WorkloadEntry in the namespace ${namespace} with the service account ${serviceAccount} and ${wanted}`,
    };
  }
}

/** Gateways in one sentence. */
const MAX_NAMED = 3;

/** As `namespace/name`, in the namespaces of the workloads that a Gateway selects; no other is read from an API server. */
export function gatewaySecrets(objects: Objects): ReadonlySet<string> {
  const wanted = new Set<string>();
  const bySelector = Map.groupBy(objects.Gateway, ({ origin, spec: { selector } }) =>
    isEmpty(selector) ? origin.namespace : JSON.stringify(selector),
  );
  for (const gateways of bySelector.values()) {
    const names = gateways.flatMap(secretsOf);
    if (names.length === 0) continue;
    for (const namespace of selectedNamespaces(gateways[0] as MeshObject<'Gateway'>, objects))
      for (const name of names) wanted.add(`${namespace}/${name}`);
  }
  return wanted;
}

/** The authority of clients may stand in a Secret of its own. */
const secretsOf = ({ spec: { servers } }: MeshObject<'Gateway'>): readonly string[] =>
  servers.flatMap(({ tls }) => {
    const name = tls && credentialNameOf(tls);
    if (name === undefined) return [];
    return tls?.mode === 'SIMPLE' ? [name] : [name, `${name}-cacert`];
  });

function selectedNamespaces(gateway: MeshObject<'Gateway'>, objects: Objects): Iterable<string> {
  if (isEmpty(gateway.spec.selector)) return [gateway.origin.namespace];
  const namespaces = new Set<string>();
  for (const { namespace, labels } of workloadsOf(objects))
    if (!namespaces.has(namespace) && selects(gateway, { namespace, labels })) namespaces.add(namespace);
  return namespaces;
}

const isEmpty = (selector: Readonly<Record<string, string>>): boolean => Object.keys(selector).length === 0;

/** Without a selector a Gateway opens its ports on all gateways, and gives its credentials to its own namespace. */
const selects = (
  { origin, spec: { selector } }: MeshObject<'Gateway'>,
  { namespace, labels }: { readonly namespace: string; readonly labels: Labels },
): boolean => (isEmpty(selector) ? origin.namespace === namespace : hasLabels(labels, selector));

function wantedBy({ origin, spec: { selector } }: MeshObject<'Gateway'>, namespace: string): string {
  const name = `Gateway ${origin.namespace}/${origin.name}`;
  if (!isEmpty(selector)) {
    const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
    return `the labels ${labels.join(',')} (${name})`;
  }
  return origin.namespace === namespace
    ? `any labels (${name})`
    : `labels that ${name} selects; without a selector its credentials are for its own namespace`;
}

function byCredential(gateways: Objects['Gateway']): ReadonlyMap<string, readonly MeshObject<'Gateway'>[]> {
  const found = new Map<string, MeshObject<'Gateway'>[]>();
  for (const gateway of gateways)
    for (const name of new Set(gateway.spec.servers.flatMap(({ tls }) => (tls && credentialNameOf(tls)) ?? [])))
      add(found, name, gateway);
  return found;
}

/** By `namespace/serviceAccount`. */
function labelsByAccount(objects: Objects): ReadonlyMap<string, readonly Labels[]> {
  const found = new Map<string, Labels[]>();
  for (const { namespace, serviceAccount, labels } of workloadsOf(objects))
    if (serviceAccount !== undefined) add(found, `${namespace}/${serviceAccount}`, labels);
  return found;
}

function add<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

/** A Pod is one before it has an address, so that its gateway finds its credentials when it first connects. */
function* workloadsOf({ Pod, WorkloadEntry }: Objects): Generator<{
  readonly namespace: string;
  readonly serviceAccount: string | undefined;
  readonly labels: Labels;
}> {
  for (const pod of Pod)
    if (!hasEnded(pod))
      yield {
        namespace: pod.origin.namespace,
        serviceAccount: pod.spec.spec.serviceAccountName,
        labels: pod.origin.labels,
      };
  for (const entry of WorkloadEntry)
    yield {
      namespace: entry.origin.namespace,
      serviceAccount: entry.spec.serviceAccount,
      labels: labelsOfEntry(entry),
    };
}
