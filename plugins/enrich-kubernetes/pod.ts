/** What is kept of a pod. */
import type { KubeObject, OwnerReference } from 'sluice/kubernetes';
import { parseIp } from 'sluice/plugin';

export interface Owner {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** Empty until the pod is scheduled. */
  readonly node: string;
  /** Canonical; none if the pod uses the network of its node. */
  readonly addresses: readonly string[];
  /** Those of its node. */
  readonly nodeAddresses: readonly string[];
  readonly owner: Owner | undefined;
  /** When its node took it: about when it got its addresses. Milliseconds since 1970; 0 if unknown. */
  readonly startedAtMs: number;
}

interface PodObject extends KubeObject {
  readonly spec?: {
    readonly nodeName?: unknown;
    readonly serviceAccountName?: unknown;
    readonly hostNetwork?: unknown;
  };
  readonly status?: {
    readonly phase?: unknown;
    readonly podIP?: unknown;
    readonly podIPs?: unknown;
    readonly hostIP?: unknown;
    readonly hostIPs?: unknown;
    readonly startTime?: unknown;
  };
}

const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});

/** `undefined` for an object that is not a pod, and for a pod that has ended: another may already have its addresses. */
export function podOf(object: KubeObject): Pod | undefined {
  const { metadata, spec, status } = object as PodObject;
  const { namespace, name } = nameOf(object);
  const phase = status?.phase;
  if (name === '' || phase === 'Succeeded' || phase === 'Failed') return undefined;
  const own = addressesOf(status?.podIP, status?.podIPs);
  const nodeAddresses = addressesOf(status?.hostIP, status?.hostIPs);
  return {
    name,
    namespace,
    labels: labelsOf(metadata?.labels),
    serviceAccount: textOf(spec?.serviceAccountName),
    node: textOf(spec?.nodeName),
    addresses: spec?.hostNetwork === true ? [] : own.filter((address) => !nodeAddresses.includes(address)),
    nodeAddresses,
    owner: controllerOf(metadata?.ownerReferences),
    startedAtMs: timeOf(status?.startTime) ?? timeOf(metadata?.creationTimestamp) ?? 0,
  };
}

/** Both are empty texts if they are absent. */
export const nameOf = ({ metadata }: KubeObject): { readonly namespace: string; readonly name: string } => ({
  namespace: textOf(metadata?.namespace),
  name: textOf(metadata?.name),
});

/** The owner that controls the object; of several owners at most one does. */
export function controllerOf(owners: readonly OwnerReference[] | undefined): Owner | undefined {
  if (!Array.isArray(owners)) return undefined;
  const found = (owners as readonly (OwnerReference | null)[]).find((owner) => owner?.controller === true);
  const [kind, name, uid] = [textOf(found?.kind), textOf(found?.name), textOf(found?.uid)];
  return kind === '' || name === '' ? undefined : { kind, name, uid };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function labelsOf(labels: unknown): Readonly<Record<string, string>> {
  if (typeof labels !== 'object' || labels === null) return NO_LABELS;
  const entries = Object.entries(labels).filter(([, value]) => typeof value === 'string') as [string, string][];
  return entries.length === 0 ? NO_LABELS : Object.freeze(Object.fromEntries(entries));
}

/** Of an older server only the first address; of one with both families all. */
function addressesOf(one: unknown, all: unknown): string[] {
  const texts = [one, ...(Array.isArray(all) ? (all as readonly { ip?: unknown }[]).map((entry) => entry?.ip) : [])];
  const found = texts.flatMap((text) => (typeof text === 'string' ? (parseIp(text)?.toString() ?? []) : []));
  return [...new Set(found)];
}

function timeOf(text: unknown): number | undefined {
  const ms = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}
