/** The workload of a pod: the object that a person wrote, and from which controllers make pods. */
import type { KubeObject, ResourceSink } from 'sluice/kubernetes';
import { controllerOf, type Owner } from './pod.ts';

export interface Workload {
  readonly kind: string;
  readonly name: string;
}

type Labels = Readonly<Record<string, string>> | undefined;

const TEMPLATE_HASH = 'pod-template-hash';
const JOB_OF_CRON_JOB = /^(.+)-(\d{8,10})$/;
/** CronJobs name a job by its minute since 1970: 25 000 000 was in 2017. A job with a date in its name, 20261129, is below. */
const LEAST_MINUTE = 25_000_000;

/**
 * By the names that controllers give. A Deployment names its ReplicaSets by itself and the label pod-template-hash, a CronJob its Jobs by
 * itself and a time. Other owners are workloads themselves; so is a pod without one.
 */
function workloadByName(owner: Owner | undefined, podName: string, labels: Labels): Workload {
  if (owner === undefined) return { kind: 'Pod', name: podName };
  const { kind, name } = owner;
  if (kind === 'ReplicaSet') {
    const end = `-${labels?.[TEMPLATE_HASH] ?? ''}`;
    if (end.length > 1 && name.length > end.length && name.endsWith(end))
      return { kind: 'Deployment', name: name.slice(0, -end.length) };
  }
  if (kind === 'Job') {
    const [, cronJob, minute] = JOB_OF_CRON_JOB.exec(name) ?? [];
    if (cronJob !== undefined && Number(minute) >= LEAST_MINUTE) return { kind: 'CronJob', name: cronJob };
  }
  return { kind, name };
}

/**
 * ReplicaSets whose owner is another than their name says (those of Argo Rollouts, and those made by hand), by uid. Others are not kept.
 */
export class ReplicaSetOwners {
  readonly #exceptions = new Map<string, Workload>();
  /** Changes whenever a workload may be another than before. */
  version = 0;

  workloadOf(owner: Owner | undefined, podName: string, labels: Labels): Workload {
    return (
      (owner === undefined ? undefined : this.#exceptions.get(owner.uid)) ?? workloadByName(owner, podName, labels)
    );
  }

  /** For one list and watch; several, if each namespace has its own. */
  sink(): ResourceSink {
    const mine = new Set<string>();
    let listed = new Set<string>();
    const drop = (uid: string): void => {
      mine.delete(uid);
      if (this.#exceptions.delete(uid)) this.version++;
    };
    return {
      listing: () => {
        listed = new Set();
      },
      put: ({ metadata }) => {
        const { uid = '', name = '', labels, ownerReferences } = metadata ?? {};
        const actual = controllerOf(ownerReferences) ?? { kind: 'ReplicaSet', name };
        const byName = workloadByName({ kind: 'ReplicaSet', name, uid }, '', labels);
        if (actual.kind === byName.kind && actual.name === byName.name) {
          drop(uid);
          return;
        }
        listed.add(uid);
        mine.add(uid);
        const known = this.#exceptions.get(uid);
        if (known?.kind === actual.kind && known.name === actual.name) return;
        this.#exceptions.set(uid, { kind: actual.kind, name: actual.name });
        this.version++;
      },
      remove: ({ metadata }: KubeObject) => drop(metadata?.uid ?? ''),
      *listed() {
        for (const uid of mine) {
          if (!listed.has(uid)) drop(uid);
          yield;
        }
        listed = new Set();
      },
    };
  }
}
