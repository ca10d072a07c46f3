/**
 * Two clients side by side at one API server: our lists and watches, and the informers of @kubernetes/client-node, which know nothing of
 * each other. Both must hold the same objects.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  ListWatch as Informer,
  Watch,
} from '@kubernetes/client-node';
import {
  type ApiServer,
  keySink,
  type KubeObject,
  ListWatch,
  type ListWatchOptions,
} from '../../src/kubernetes/index.ts';

export interface FollowedResource {
  readonly apiVersion: string;
  readonly plural: string;
}

/** The resourceVersion of each object, by `plural namespace/name`. */
export type Versions = ReadonlyMap<string, string>;

export interface TwoClients extends AsyncDisposable {
  readonly ours: Versions;
  readonly theirs: () => Versions;
  /** What the other client lists now. */
  readonly listed: () => Promise<Versions>;
  /** Lists and watches that each has begun. */
  readonly begun: { ourLists: number; ourWatches: number; theirLists: number; theirWatches: number };
}

/** `restartMs`: the pause of the other client before it connects again, which it leaves to its user after an error. */
export function followByTwoClients(
  server: ApiServer,
  resources: readonly FollowedResource[],
  options: Pick<ListWatchOptions, 'backoff' | 'pageSize' | 'watchForMs'> & { readonly restartMs: number },
): TwoClients {
  const { restartMs, ...listWatch } = options;
  const over = new AbortController();
  const begun = { ourLists: 0, ourWatches: 0, theirLists: 0, theirWatches: 0 };

  const ours = new Map<string, string>();
  const running = resources.map((resource) => {
    const { plural } = resource;
    const sink = keySink({
      keyOf: (object) => keyOf(plural, object),
      put: (key, { metadata }) => ours.set(key, metadata?.resourceVersion ?? ''),
      remove: (key) => ours.delete(key),
      listed: () => undefined,
    });
    const log = { info: () => undefined, warn: () => undefined };
    const meters = { list: () => void begun.ourLists++, watch: () => void begun.ourWatches++ };
    const nowMs = (): number => performance.now();
    const path = pathOf(resource);
    return new ListWatch({ server: async () => server, path, sink, log, meters, nowMs, ...listWatch }).run(over.signal);
  });

  const config = kubeConfigOf(server);
  const informers = resources.map((resource) => {
    const list = (): Promise<KubernetesListObject<KubernetesObject>> => {
      begun.theirLists++;
      return listOf(config, resource);
    };
    const informer = new Informer(pathOf(resource), new Watch(config), list, false, undefined, undefined, {
      delayFn: () => sleep(restartMs),
    });
    informer.on('connect', () => begun.theirWatches++);
    informer.on('error', () => {
      void sleep(restartMs).then(() => (over.signal.aborted ? undefined : informer.start()));
    });
    void informer.start();
    return { informer, plural: resource.plural };
  });

  return {
    ours,
    theirs: () => versionsOf(informers.map(({ informer, plural }) => [plural, informer.list()])),
    listed: async () =>
      versionsOf(
        await Promise.all(
          resources.map(async (resource) => [resource.plural, (await listOf(config, resource)).items] as const),
        ),
      ),
    begun,
    async [Symbol.asyncDispose]() {
      over.abort();
      for (const { informer } of informers) await informer.stop();
      await Promise.all(running);
    },
  };
}

const keyOf = (plural: string, { metadata }: KubeObject | KubernetesObject): string =>
  `${plural} ${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;

const versionsOf = (all: readonly (readonly [plural: string, objects: readonly KubernetesObject[]])[]): Versions =>
  new Map(
    all.flatMap(([plural, objects]) =>
      objects.map((object) => [keyOf(plural, object), object.metadata?.resourceVersion ?? ''] as const),
    ),
  );

const pathOf = ({ apiVersion, plural }: FollowedResource): string =>
  `/${apiVersion.includes('/') ? 'apis' : 'api'}/${apiVersion}/${plural}`;

function kubeConfigOf({ url, token, tls }: ApiServer): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: url, caData: Buffer.from(tls.ca ?? '').toString('base64'), skipTLSVerify: false },
    { name: 'u', ...(token === undefined ? {} : { token }) },
  );
  return config;
}

function listOf(
  config: KubeConfig,
  { apiVersion, plural }: FollowedResource,
): Promise<KubernetesListObject<KubernetesObject>> {
  const [group = '', version] = apiVersion.split('/');
  if (version !== undefined)
    return config.makeApiClient(CustomObjectsApi).listClusterCustomObject({ group, version, plural });
  const core = config.makeApiClient(CoreV1Api);
  if (plural === 'pods') return core.listPodForAllNamespaces();
  if (plural === 'services') return core.listServiceForAllNamespaces();
  if (plural === 'namespaces') return core.listNamespace();
  throw new Error(`add ${plural} to this function`);
}
