/**
 * **In**: pods and WorkloadEntries. **Out**: where each runs, found by address, name or labels. **Fails**: never; a pod without an address,
 * or one that has ended, is none.
 */
import type { MeshObject, MeshObjects } from '../sources/objects.ts';
import { localityOfLabels } from './locality.ts';

/** A pod or another machine that a service may select. */
export interface Workload {
  readonly namespace: string;
  readonly address: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly serviceAccount: string | undefined;
  readonly hasSidecar: boolean;
  readonly locality: string | undefined;
  readonly weight: number | undefined;
  /** By name of the port. */
  readonly ports: Readonly<Record<string, number>>;
  /** A pod whose conditions are unknown, as in files, is ready. */
  readonly isReady: boolean;
}

export class Workloads {
  readonly #byAddress = new Map<string, Workload>();
  /** By namespace. */
  readonly #own = new Map<string, { readonly all: Workload[]; readonly pods: Map<string, Workload> }>();

  constructor({ Pod, WorkloadEntry, Node }: Pick<MeshObjects, 'Pod' | 'WorkloadEntry' | 'Node'>) {
    const nodes = new Map(Node.map(({ origin }) => [origin.name, localityOfLabels(origin.labels)]));
    for (const pod of Pod) {
      const workload = ofPod(pod, nodes);
      if (workload !== undefined) this.#add(workload).set(pod.origin.name, workload);
    }
    for (const entry of WorkloadEntry) this.#add(ofEntry(entry));
  }

  /** Returns the pods of its namespace, by name. */
  #add(workload: Workload): Map<string, Workload> {
    this.#byAddress.set(workload.address, workload);
    let own = this.#own.get(workload.namespace);
    if (own === undefined) this.#own.set(workload.namespace, (own = { all: [], pods: new Map() }));
    own.all.push(workload);
    return own.pods;
  }

  at(address: string): Workload | undefined {
    return this.#byAddress.get(address);
  }

  pod(namespace: string, name: string): Workload | undefined {
    return this.#own.get(namespace)?.pods.get(name);
  }

  selected(namespace: string, labels: Readonly<Record<string, string>>): readonly Workload[] {
    return (this.#own.get(namespace)?.all ?? []).filter((one) => hasLabels(one.labels, labels));
  }
}

export const hasLabels = (labels: ReadonlyMap<string, string>, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([name, value]) => labels.get(name) === value);

/** Written by the injector: of today, and of 1.0.2. */
const TLS_MODE = 'security.istio.io/tlsMode';
const INJECTED = 'sidecar.istio.io/status';
/** Of the template; injectors of today leave it out, and write the rest for gateways, too, which have no sidecar. */
const OF_TEMPLATE = '"version":';

/** Whether a label says that the workload takes mutual TLS; `undefined`: no label does. */
const tlsModeOf = (labels: ReadonlyMap<string, string>): boolean | undefined =>
  labels.has(TLS_MODE) ? labels.get(TLS_MODE) === 'istio' : undefined;

/** Of a machine without injector: one that names a service account has its certificate, as istiod concludes. */
export const entryIdentity = ({
  labels,
  serviceAccount,
}: {
  readonly labels: ReadonlyMap<string, string>;
  readonly serviceAccount?: string | undefined;
}): Pick<Workload, 'labels' | 'serviceAccount' | 'hasSidecar'> => ({
  labels,
  serviceAccount,
  hasSidecar: tlsModeOf(labels) ?? serviceAccount !== undefined,
});

/** Kept per object: of many pods few change, and what is made of the same workload can be kept as well. */
const made = new WeakMap<MeshObject<'Pod' | 'WorkloadEntry'>, Workload>();

function kept<O extends MeshObject<'Pod' | 'WorkloadEntry'>>(
  object: O,
  locality: string | undefined,
  make: (object: O) => Workload,
): Workload {
  const known = made.get(object);
  if (known !== undefined && known.locality === locality) return known;
  const workload = make(object);
  made.set(object, workload);
  return workload;
}

const ENDED: ReadonlySet<string | undefined> = new Set(['Succeeded', 'Failed']);
export const hasEnded = ({ spec }: MeshObject<'Pod'>): boolean => ENDED.has(spec.status.phase);

/** Those of its workload go before those of the object. */
export const labelsOfEntry = ({ origin, spec }: MeshObject<'WorkloadEntry'>): ReadonlyMap<string, string> =>
  new Map([...origin.labels, ...Object.entries(spec.labels)]);

/** `nodes`: their localities, by name. */
function ofPod(object: MeshObject<'Pod'>, nodes: ReadonlyMap<string, string | undefined>): Workload | undefined {
  const { podIP } = object.spec.status;
  // The address of a pod that has ended may belong to another one by now.
  if (podIP === undefined || podIP === '' || hasEnded(object)) return undefined;
  // Labels of its own, which servers of today copy from the node, go first.
  const locality = localityOfLabels(object.origin.labels) ?? nodes.get(object.spec.spec.nodeName ?? '');
  return kept(object, locality, ({ origin, spec: { spec, status } }) => ({
    namespace: origin.namespace,
    address: podIP,
    labels: origin.labels,
    serviceAccount: spec.serviceAccountName,
    hasSidecar: tlsModeOf(origin.labels) ?? origin.annotations.get(INJECTED)?.includes(OF_TEMPLATE) === true,
    locality,
    weight: undefined,
    ports: Object.fromEntries(
      spec.containers.flatMap(({ ports }) =>
        ports.flatMap(({ name, containerPort }) => (name === undefined ? [] : [[name, containerPort] as const])),
      ),
    ),
    isReady: status.conditions.every(({ type, status: is }) => type !== 'Ready' || is === 'True'),
  }));
}

const ofEntry = (object: MeshObject<'WorkloadEntry'>): Workload =>
  kept(object, object.spec.locality, ({ origin, spec }) => ({
    ...entryIdentity({ ...spec, labels: labelsOfEntry(object) }),
    namespace: origin.namespace,
    address: spec.address,
    locality: spec.locality,
    weight: spec.weight,
    ports: spec.ports,
    isReady: true,
  }));
