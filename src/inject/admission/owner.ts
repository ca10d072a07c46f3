/**
 * The object that makes a pod, as far as the pod knows it.
 * **In**: a pod's metadata. **Out**: name and namespace, as templates read them from `.DeploymentMeta`. **Fails**: never.
 */
import { isObject, type JsonObject } from '../../text/json-object.ts';

/** Labels by which the names of ReplicaSets end: of Deployments, of Argo's Rollouts. */
const HASH_LABELS = ['pod-template-hash', 'rollouts-pod-template-hash'];

/** CronJobs name a job by its minute since 1970: 25 000 000 was in 2017. A job with a date in its name, 20261129, is below. */
const LEAST_MINUTE = 25_000_000;

/** A Deployment or CronJob is known by the names that its ReplicaSets and Jobs have; nothing is asked of the API server. */
export function ownerOf(metadata: JsonObject): JsonObject {
  const { name, namespace, ownerReferences } = metadata;
  const references = Array.isArray(ownerReferences) ? ownerReferences.filter(isObject) : [];
  const controller = references.find((reference) => reference['controller'] === true);
  if (controller === undefined || typeof controller['name'] !== 'string') return { name, namespace };
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {};
  return { name: makerOf(controller['name'], controller['kind'], labels), namespace };
}

function makerOf(name: string, kind: unknown, labels: JsonObject): string {
  if (kind === 'Job') {
    const [, cronJob, minute] = /^(.+)-(\d{8,10})$/.exec(name) ?? [];
    return cronJob !== undefined && Number(minute) >= LEAST_MINUTE ? cronJob : name;
  }
  if (kind === 'ReplicationController') {
    const config = labels['deploymentconfig'];
    return typeof config === 'string' && config !== '' ? config : name;
  }
  if (kind !== 'ReplicaSet') return name;
  for (const label of HASH_LABELS) {
    const hash = labels[label];
    if (typeof hash === 'string' && hash !== '' && name.endsWith(`-${hash}`)) return name.slice(0, -hash.length - 1);
  }
  return name;
}
