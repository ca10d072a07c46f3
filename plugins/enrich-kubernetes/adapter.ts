/** Workloads by the address of their pods, from the Kubernetes API. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ListWatch, type ListWatchOptions } from 'sluice/kubernetes';
import { defineAdapter, type Host, Unavailable } from 'sluice/plugin';
import { configSchema, type KubernetesConfig, pathsOf, podQuery, serverOf } from './config.ts';
import { PodIndex, type Values } from './pod-index.ts';
import { ReplicaSetOwners } from './workload.ts';

/** `namespace/name`, or as Mixer wrote it: `kubernetes://name.namespace`. */
const POD_NAME = /^(?:(?<ns>[^/.]+)\/(?<name>[^/]+)|kubernetes:\/\/(?<mixerName>[^/]+)\.(?<mixerNs>[^/.]+))$/;
const READINESS_EVERY_MS = 500;
/** Opening must not need the API server, and has 10 s. */
const LISTED_WITHIN_MS = 3000;

export default defineAdapter({
  name: 'enrich-kubernetes',
  summary: 'Looks up the pod that has an address: its workload, namespace, labels, service account and node.',
  config: configSchema,
  serves: {
    enrich: {
      input: { ip: 'ip?', pod: 'string?' },
      output: {
        pod: 'string',
        namespace: 'string',
        workload: 'string',
        workload_kind: 'string',
        labels: 'map<string>',
        service_account: 'string',
        node: 'string',
      },
    },
  },
  async open(config, host) {
    const owners = new ReplicaSetOwners();
    const dropped = host.metrics.counter(
      'kubernetes_pods_dropped',
      'Pods that were not kept, since maxPods were known.',
    );
    const index = new PodIndex({ owners, maxPods: config.maxPods, onDropped: () => dropped.add() });
    const watches = await watchesOf(config, host, owners, index);
    for (const [path, watch] of watches) host.background(`watching ${path}`, (signal) => watch.run(signal));
    await firstLists([...watches.values()], host.signal);
    const unlisted = watchReadiness(config, host, [...watches.values()], index);
    return {
      lookup:
        () =>
        ({ ip, pod }): Values | undefined => {
          const error = unlisted();
          if (error !== undefined) throw error;
          return (
            (pod === undefined ? undefined : podNamed(index, pod)) ??
            (ip === undefined ? undefined : index.atAddress(ip))
          );
        },
    };
  },
});

function podNamed(index: PodIndex, text: string): Values | undefined {
  const { ns, name, mixerName, mixerNs } = POD_NAME.exec(text)?.groups ?? {};
  return index.named(ns ?? mixerNs ?? '', name ?? mixerName ?? '');
}

/** Waits a little for the first lists, so that a policy usually is in force with a complete index. */
async function firstLists(watches: readonly ListWatch[], signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  await Promise.race([
    Promise.all(watches.map(({ begun }) => begun)),
    sleep(LISTED_WITHIN_MS, undefined, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => undefined),
  ]);
  over.abort();
}

/** By path. Rejects if the credentials cannot be read; the API server itself is not needed. */
async function watchesOf(
  config: KubernetesConfig,
  host: Host,
  owners: ReplicaSetOwners,
  index: PodIndex,
): Promise<Map<string, ListWatch>> {
  const server = serverOf(config, host.folder);
  await server();
  const counter = (name: string, help: string): (() => void) => {
    const metric = host.metrics.counter(`kubernetes_${name}`, help);
    return () => metric.add();
  };
  const common: Omit<ListWatchOptions, 'path' | 'sink'> = {
    server,
    log: host.log,
    nowMs: () => host.clock.monotonicMs(),
    pageSize: config.pageSize,
    silentAfterMs: config.silentAfterMs,
    meters: {
      list: counter('lists', 'Lists begun: at the start, and when a watch could not be continued.'),
      watch: counter('watches', 'Watches opened; each lasts five to ten minutes.'),
      event: counter('events', 'Objects that were added, changed or deleted.'),
      silence: counter('silences', 'Watches that were opened again, since nothing arrived for silentAfterMs.'),
      failure: counter('failures', 'Requests to the API server that failed.'),
      oversized: counter('oversized', 'Objects that were skipped, since they are too large.'),
    },
  };
  const watches = new Map<string, ListWatch>();
  const { owners: how = config.node === undefined ? 'watch' : 'names' } = config;
  if (how === 'watch')
    for (const path of pathsOf(config, '/apis/apps/v1', 'replicasets'))
      watches.set(path, new ListWatch({ ...common, path, sink: owners.sink(), metadataOnly: true }));
  const pods = pathsOf(config, '/api/v1', 'pods');
  for (const [at, path] of pods.entries()) {
    const sink = index.sink(config.namespaces.length === 0 ? undefined : [...new Set(config.namespaces)][at]);
    watches.set(path, new ListWatch({ ...common, path, sink, query: podQuery(config) }));
  }
  return watches;
}

/**
 * Tells the host whether the index is complete and up to date. Returns the error of lookups, `undefined` once all lists are complete:
 * before, a pod that is not known may exist, and a workload may be another than its name says.
 */
function watchReadiness(
  { staleAfterMs, maxPods }: KubernetesConfig,
  host: Host,
  watches: readonly ListWatch[],
  index: PodIndex,
): () => Unavailable | undefined {
  let unlisted: Unavailable | undefined = new Unavailable('pods are not listed yet', READINESS_EVERY_MS);

  function problem(): string | undefined {
    const unsynced = watches.find(({ isSynced }) => !isSynced);
    if (unsynced !== undefined) return `pods are not listed yet${because(unsynced)}`;
    const oldest = watches.reduce((one, other) => (other.heardAtMs < one.heardAtMs ? other : one));
    const silentMs = host.clock.monotonicMs() - oldest.heardAtMs;
    if (silentMs > staleAfterMs) return `pods are as of ${Math.round(silentMs / 1000)} s ago${because(oldest)}`;
    return index.isOverfull ? `there are more than ${maxPods} pods; raise maxPods` : undefined;
  }
  function tell(): void {
    const why = problem();
    host.ready(why === undefined, why);
    if (unlisted === undefined) return;
    if (watches.every(({ isSynced }) => isSynced)) {
      unlisted = undefined;
      host.log.info('pods are listed and watched', { pods: index.size });
    } else if (unlisted.message !== why) unlisted = new Unavailable(why ?? unlisted.message, READINESS_EVERY_MS);
  }

  tell();
  host.background('readiness of the Kubernetes API', async (signal) => {
    while (!signal.aborted) {
      tell();
      await sleep(READINESS_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
  return () => {
    if (unlisted !== undefined && watches.every(({ isSynced }) => isSynced)) tell();
    return unlisted;
  };
}

const because = ({ failure }: ListWatch): string => (failure === undefined ? '' : `: ${failure}`);
