/**
 * Who may have the credentials that Gateways and DestinationRules name: workloads that these select. A rule without a selector is for
 * gateways, as no sidecar shall have a key because a rule is for everyone.
 * **In**: Gateways, DestinationRules, Pods, WorkloadEntries. **Out**: the Secrets that proxies need, and whether the workloads of a service
 * account may have one. **Fails**: never.
 *
 * Labels and service accounts are those of the objects: what a proxy says of itself proves nothing. All workloads of a service account have
 * one identity, so what one of them may have all may have.
 */
import type { ClientTls, DestinationRule } from '../rules/destination-rule.ts';
import type { ServerTls } from '../rules/gateway.ts';
import type { MeshObject, MeshObjects } from '../sources/objects.ts';
import { hasLabels, hasEnded, labelsOfEntry } from './workloads.ts';

type Objects = Pick<MeshObjects, 'Gateway' | 'DestinationRule' | 'Pod' | 'WorkloadEntry'>;
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

/** The authorities of a credential alone, without its key; as a credential of its own. */
export const caOf = (name: string): string => `ca.crt of ${name}`;

/** What a client has by a rule of TLS: in mode SIMPLE the authorities alone. */
export function clientCredentialOf({ mode, credentialName }: ClientTls): string | undefined {
  if (credentialName === undefined) return undefined;
  return mode === 'MUTUAL' ? credentialName : mode === 'SIMPLE' ? caOf(credentialName) : undefined;
}

/** TLS settings of a rule, for all subsets and ports. */
export const clientTlsOf = ({ trafficPolicy, subsets }: DestinationRule): readonly ClientTls[] =>
  [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)].flatMap((policy) =>
    [policy, ...(policy?.portLevelSettings ?? [])].flatMap((part) => part?.tls ?? []),
  );

interface Workload {
  readonly namespace: string;
  readonly labels: Labels;
}

/** An object that names credentials. */
interface Claim {
  readonly credentials: readonly string[];
  /** Names of the Secrets that they are made of. */
  readonly secrets: readonly string[];
  /** Which workloads it selects, as a text that is equal for claims that select the same. */
  readonly workloads: string;
  /** The only one whose workloads it selects. */
  readonly namespace?: string;
  readonly selects: (workload: Workload) => boolean;
  /** What a workload of a namespace would need. */
  readonly wanted: (namespace: string) => string;
}

/** Looks at the objects when it is first asked, since most meshes have no credentials. */
export class CredentialAccess {
  readonly #objects: Objects;
  #labels: ReadonlyMap<string, readonly Labels[]> | undefined;
  #claims: ReadonlyMap<string, readonly Claim[]> | undefined;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /** `undefined`: the workloads of this service account may have the credential. */
  refusal(credential: string, { namespace, serviceAccount }: ServiceAccount): CredentialRefusal | undefined {
    const claims = (this.#claims ??= byCredential(claimsOf(this.#objects))).get(credential) ?? [];
    const workloads = (this.#labels ??= labelsByAccount(this.#objects)).get(`${namespace}/${serviceAccount}`) ?? [];
    if (workloads.some((labels) => claims.some((claim) => claim.selects({ namespace, labels })))) return undefined;
    const named = claims.slice(0, MAX_NAMED).map((claim) => claim.wanted(namespace));
    const wanted =
      named.length === 0 ? `a selector: no Gateway or DestinationRule names ${credential}` : named.join(', or ');
    return {
      why:
        workloads.length === 0
          ? `no Pod or WorkloadEntry in the namespace ${namespace} has the service account ${serviceAccount}`
          : `of ${workloads.length} Pods and WorkloadEntries with this service account none has ${wanted}`,
      add: `a Pod or WorkloadEntry in the namespace ${namespace} with the service account ${serviceAccount} and ${wanted}`,
    };
  }
}

/** Objects in one sentence. */
const MAX_NAMED = 3;

/** As `namespace/name`, in the namespaces of the workloads that may have them; no other is read from an API server. */
export function usedSecrets(objects: Objects): ReadonlySet<string> {
  const wanted = new Set<string>();
  const byWorkloads = Map.groupBy(claimsOf(objects), ({ workloads }) => workloads);
  for (const claims of byWorkloads.values()) {
    const names = claims.flatMap(({ secrets }) => secrets);
    for (const namespace of selectedNamespaces(claims[0] as Claim, objects))
      for (const name of names) wanted.add(`${namespace}/${name}`);
  }
  return wanted;
}

function selectedNamespaces({ namespace: own, selects }: Claim, objects: Objects): Iterable<string> {
  if (own !== undefined) return [own];
  const namespaces = new Set<string>();
  for (const { namespace, labels } of workloadsOf(objects))
    if (!namespaces.has(namespace) && selects({ namespace, labels })) namespaces.add(namespace);
  return namespaces;
}

const isEmpty = (selector: Readonly<Record<string, string>>): boolean => Object.keys(selector).length === 0;

function claimsOf({ Gateway, DestinationRule: rules }: Objects): readonly Claim[] {
  // Hundreds of Gateways select the same few workloads.
  const selectors = new Map(Gateway.map(({ spec: { selector } }) => [JSON.stringify(selector), selector]));
  const own = [...selectors.values()].filter((selector) => !isEmpty(selector));
  const isGateway = ({ labels }: Workload): boolean => own.some((selector) => hasLabels(labels, selector));
  return [...Gateway.map(gatewayClaim), ...rules.map((rule) => clientClaim(rule, isGateway))].filter(
    ({ credentials }) => credentials.length > 0,
  );
}

/** The authorities may stand in a Secret of their own. */
const secretsOf = (name: string): readonly string[] => [name, `${name}-cacert`];

const nameOf = ({ origin: { kind, namespace, name } }: MeshObject<'Gateway' | 'DestinationRule'>): string =>
  `${kind} ${namespace}/${name}`;

/** Without a selector a Gateway opens its ports on all gateways, and gives its credentials to its own namespace. */
function gatewayClaim(gateway: MeshObject<'Gateway'>): Claim {
  const { origin, spec } = gateway;
  const { selector, servers } = spec;
  const text = nameOf(gateway);
  const named = servers.flatMap(({ tls }) => (tls === undefined ? [] : [{ name: credentialNameOf(tls), tls }]));
  const credentials = named.flatMap(({ name }) => name ?? []);
  const secrets = named.flatMap(({ name, tls }) =>
    name === undefined ? [] : tls.mode === 'SIMPLE' ? [name] : secretsOf(name),
  );
  return isEmpty(selector)
    ? {
        credentials,
        secrets,
        workloads: origin.namespace,
        namespace: origin.namespace,
        selects: ({ namespace }) => namespace === origin.namespace,
        wanted: (namespace) =>
          origin.namespace === namespace
            ? `any labels (${text})`
            : `labels that ${text} selects; without a selector its credentials are for its own namespace`,
      }
    : {
        credentials,
        secrets,
        workloads: JSON.stringify(selector),
        selects: ({ labels }) => hasLabels(labels, selector),
        wanted: () => `the labels ${labelsText(selector)} (${text})`,
      };
}

function clientClaim(rule: MeshObject<'DestinationRule'>, isGateway: (workload: Workload) => boolean): Claim {
  const { origin, spec } = rule;
  const text = nameOf(rule);
  const all = clientTlsOf(spec);
  const credentials = all.flatMap((tls) => clientCredentialOf(tls) ?? []);
  const secrets = all.flatMap(({ credentialName }) => (credentialName === undefined ? [] : secretsOf(credentialName)));
  const { workloadSelector: selector } = spec;
  if (selector === undefined)
    return {
      credentials,
      secrets,
      workloads: '',
      selects: isGateway,
      wanted: () => `the labels of a gateway (${text} has no workloadSelector)`,
    };
  const { matchLabels } = selector;
  return {
    credentials,
    secrets,
    workloads: origin.namespace,
    namespace: origin.namespace,
    selects: ({ namespace, labels }) => namespace === origin.namespace && hasLabels(labels, matchLabels),
    wanted: (namespace) =>
      namespace === origin.namespace
        ? `the labels ${labelsText(matchLabels)} (${text})`
        : `labels that ${text} selects; it selects in its own namespace alone`,
  };
}

const labelsText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([label, value]) => `${label}=${value}`)
    .join(',');

function byCredential(claims: readonly Claim[]): ReadonlyMap<string, readonly Claim[]> {
  const found = new Map<string, Claim[]>();
  for (const claim of claims) for (const name of new Set(claim.credentials)) add(found, name, claim);
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
