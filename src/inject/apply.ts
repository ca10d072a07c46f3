/**
 * Puts an injection into a pod.
 * **In**: a pod and what is added. **Out**: the pod with it, in place of an earlier injection. **Fails**: never.
 */
import { isObject, type JsonObject } from '../text/json-object.ts';
import {
  INJECTED_LISTS,
  type InjectedList,
  type Injection,
  type Pod,
  PROXY_CONTAINER,
  STATUS_ANNOTATION,
} from './contract.ts';
import { restoredProbes } from './probes.ts';

/** What Istio added before its status named it. */
const BEFORE_STATUS: Readonly<Record<InjectedList, readonly string[]>> = {
  initContainers: ['istio-init', 'enable-core-dump'],
  containers: [PROXY_CONTAINER],
  volumes: ['istio-certs', 'istio-envoy'],
  imagePullSecrets: [],
};

/** Names that an earlier injection added: from its status; without a status that can be read, those that Istio always used. */
export function injectedNames(metadata: JsonObject): Readonly<Record<InjectedList, readonly string[]>> {
  const annotations = metadata['annotations'];
  const text = isObject(annotations) ? annotations[STATUS_ANNOTATION] : undefined;
  const status = typeof text === 'string' ? parsed(text) : undefined;
  if (status === undefined || !INJECTED_LISTS.some((list) => Array.isArray(status[list]))) return BEFORE_STATUS;
  return Object.fromEntries(
    INJECTED_LISTS.map((list) => {
      const names = status[list];
      return [list, Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []];
    }),
  ) as Record<InjectedList, string[]>;
}

function parsed(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The pod as its author wrote it: a template must not see what an earlier run of it has added. */
export const withoutInjection = (pod: Pod): Pod => withoutAdded({ ...pod, spec: restoredProbes(pod.spec) });

/** Without the parts of an earlier injection, with the probes that it has rewritten. */
export function withoutAdded({ metadata, spec }: Pod): Pod {
  const earlier = injectedNames(metadata);
  const lists = INJECTED_LISTS.filter((list) => Array.isArray(spec[list])).map((list) => [
    list,
    (spec[list] as readonly JsonObject[]).filter(({ name }) => !earlier[list].includes(name as string)),
  ]);
  return { metadata, spec: { ...spec, ...Object.fromEntries(lists) } };
}

/** Lists that an injection adds to in manifests; imagePullSecrets are the webhook's alone, as in Istio. */
const MANIFEST_LISTS = ['initContainers', 'containers', 'volumes'] as const;

export function withInjection({ metadata, spec }: Pod, injection: Injection): Pod {
  const { spec: before } = withoutAdded({ metadata, spec });
  const lists: Record<string, readonly unknown[]> = {};
  for (const list of MANIFEST_LISTS) {
    const own = ((before[list] ?? []) as readonly JsonObject[]).map((item) =>
      list === 'volumes' ? item : { ...item, ...injection.probes.get(item['name'] as string) },
    );
    const added = injection[list];
    const all = injection.first.includes(list) ? [...added, ...own] : [...own, ...added];
    if (all.length > 0 || spec[list] !== undefined) lists[list] = all;
  }
  return {
    metadata: {
      ...metadata,
      annotations: { ...(metadata['annotations'] as JsonObject | undefined), [STATUS_ANNOTATION]: injection.status },
    },
    spec: { ...spec, ...lists },
  };
}
