/**
 * A Kubernetes API server as a source of a mesh.
 * **In**: an API server, namespaces. **Out**: the objects of the mesh, once all of them are known, and a call for each change. **Fails**:
 * never; a resource that cannot be listed or watched is retried and logged, and what is known of it stays.
 */
import {
  ApiError,
  ListWatch,
  type ListWatchOptions,
  type Meters,
  type ReadApiServer,
  type ServedKind,
} from '../../kubernetes/index.ts';
import { type Kind, VERSIONS } from '../rules/kinds.ts';
import { CustomKinds } from './custom-kinds.ts';
import { KubernetesObjects, type RefusedObject } from './kubernetes-objects.ts';
import type { MeshObjects } from './objects.ts';
import { type Log, OutageLog } from './outage-log.ts';

export interface KubernetesSourceOptions {
  /** Read for each connection, since tokens and certificates are rotated. */
  readonly server: ReadApiServer;
  /** Empty: all of them, by lists of the whole cluster. */
  readonly namespaces: readonly string[];
  /** Whether the labels of namespaces are needed. */
  readonly listsNamespaces?: boolean;
  readonly log: Log;
  /** Once all objects are known: at each change; `namespace` is empty where the kind has none. */
  readonly onChange: (kind: Kind, namespace: string) => void;
  readonly onRefused: (refused: RefusedObject) => void;
  /** How often the server is asked which custom resources it has. */
  readonly discoverEveryMs?: number;
  /** Of the lists and watches of a kind; of `discovery`: failures alone. */
  readonly meters?: (kind: Kind | 'discovery') => Meters;
  /** For tests. */
  readonly watch?: Pick<ListWatchOptions, 'backoff' | 'pageSize' | 'silentAfterMs' | 'watchForMs'>;
}

interface WatchedKind extends ServedKind {
  readonly kind: Kind;
  readonly query?: ListWatchOptions['query'];
  readonly metadataOnly?: boolean;
  /** The only object that is read, as `namespace/name`. */
  readonly only?: string;
}

interface List {
  /** `undefined`: all of them, or the kind has none. */
  readonly namespace: string | undefined;
  readonly query: NonNullable<ListWatchOptions['query']>;
  /** Whether it would have an object of this `namespace/name`. */
  readonly has: (key: string) => boolean;
}

/** Kinds of every server. Endpoints are superseded by EndpointSlices, which each server of today writes. */
const BUILT_IN: readonly WatchedKind[] = [
  { kind: 'Service', apiVersion: 'v1', plural: 'services', isNamespaced: true },
  { kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1', plural: 'endpointslices', isNamespaced: true },
  {
    kind: 'Pod',
    apiVersion: 'v1',
    plural: 'pods',
    isNamespaced: true,
    query: { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' }, // for a pod that ends the watch sends DELETED
  },
];
/** Where pods are; not asked for beside namespaces, since a Role cannot grant it. */
const NODES: WatchedKind = { kind: 'Node', apiVersion: 'v1', plural: 'nodes', isNamespaced: false, metadataOnly: true };
const NAMESPACES: WatchedKind = {
  kind: 'Namespace',
  apiVersion: 'v1',
  plural: 'namespaces',
  isNamespaced: false,
  metadataOnly: true,
};
/** Istio's. */
const CUSTOM = Object.fromEntries(
  Object.entries(VERSIONS).filter(([, versions]) => versions.every((version) => version.includes('.istio.io/'))),
) as Readonly<Record<Kind, readonly string[]>>;
const KINDS_PATH = '/apis';
const SECRETS: ServedKind = { apiVersion: 'v1', plural: 'secrets', isNamespaced: true };

/** Statuses of a server that refuses one resource, and answers others. */
const REFUSALS: ReadonlySet<number> = new Set([401, 403, 404]);
export class KubernetesSource {
  readonly #options: KubernetesSourceOptions;
  readonly #objects: KubernetesObjects;
  readonly #outages: OutageLog;
  readonly #custom: CustomKinds<Kind>;
  /** By `namespace/name`. */
  readonly #secrets = new Map<string, AbortController>();
  /** While `run` runs. Resolves when each list was complete, or was refused. */
  #begin: ((kind: WatchedKind, stop: AbortSignal) => Promise<unknown>) | undefined;
  /** Lists that were not complete yet, with the cause of the last failure. */
  readonly #waiting = new Map<string, () => string | undefined>();
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    this.#outages = new OutageLog(options.log, () => this.#isSynced);
    this.#objects = new KubernetesObjects({
      onChange: (kind, namespace) => {
        if (this.#isSynced) options.onChange(kind, namespace);
      },
      onRefused: options.onRefused,
    });
    this.#custom = new CustomKinds({
      server: options.server,
      wanted: CUSTOM,
      everyMs: options.discoverEveryMs,
      backoff: options.watch?.backoff,
      watch: (kind, served, stop) => {
        if (this.#custom.isKnown) options.log.info('the API server has a kind of the mesh', { kind, ...served });
        void this.#begin?.({ kind, ...served }, stop);
      },
      forget: (kind) => {
        options.log.warn('the API server no longer has a kind of the mesh; its objects are gone', { kind });
        this.#objects.forget(kind, () => true);
      },
      onAnswer: () => {
        this.#outages.answers(KINDS_PATH);
        this.#settleIfSynced();
      },
      onFailure: (error) => {
        this.#outages.failed(KINDS_PATH, error);
        options.meters?.('discovery').failure?.();
      },
    });
  }

  /** Resolves when every list was complete once. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  get objects(): MeshObjects {
    return this.#objects.objects;
  }

  /** Objects with errors, which are used as they were before, or left out. */
  get refused(): Iterable<RefusedObject> {
    return this.#objects.refused;
  }

  /** Resources that are still to be listed, with the cause of the last failure. */
  get waitingFor(): readonly string[] {
    const because = (why: string | undefined): string => (why === undefined ? '' : `: ${why}`);
    return [
      ...(this.#custom.isKnown ? [] : [`${KINDS_PATH}${because(this.#custom.failure)}`]),
      ...[...this.#waiting].map(([path, failure]) => `${path}${because(failure())}`),
    ];
  }

  /** Resolves when the signal is aborted. Rejects if a part of this program fails. */
  async run(signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const until = AbortSignal.any([signal, failed.signal]);
    const running = new Set<Promise<void>>();
    this.#begin = (served, stop) => {
      const own = AbortSignal.any([until, stop]);
      const watches = this.#listsOf(served).map((list) => this.#listWatch(served, list));
      for (const { run } of watches) {
        const ended = run(own)
          .catch((error: unknown) => failed.abort(error))
          .finally(() => running.delete(ended));
        running.add(ended);
      }
      return Promise.all(watches.map(({ begun }) => begun));
    };
    const { namespaces, listsNamespaces = false } = this.#options;
    const ofCluster = [...(namespaces.length === 0 ? [NODES] : []), ...(listsNamespaces ? [NAMESPACES] : [])];
    for (const served of [...BUILT_IN, ...ofCluster]) void this.#begin(served, until);
    await this.#custom.run(until);
    await Promise.all(running);
    if (failed.signal.aborted) throw failed.signal.reason;
  }

  /**
   * Watches these Secrets (`namespace/name`) and no other, once `run` was called. Resolves when each of them was listed, or refused: that
   * leaves out its gateway alone.
   */
  async watchSecrets(wanted: ReadonlySet<string>): Promise<void> {
    for (const [key, stop] of this.#secrets) {
      if (wanted.has(key)) continue;
      stop.abort();
      this.#secrets.delete(key);
      this.#objects.forget('Secret', (one) => one === key);
    }
    const begin = this.#begin;
    if (begin === undefined) return;
    const begun: Promise<unknown>[] = [];
    for (const key of wanted) {
      if (this.#secrets.has(key)) continue;
      const stop = new AbortController();
      this.#secrets.set(key, stop);
      begun.push(begin({ kind: 'Secret', ...SECRETS, only: key }, stop.signal));
    }
    await Promise.all(begun);
  }

  /** One of all namespaces, or one of each that is watched. */
  #listsOf({ isNamespaced, only }: WatchedKind): readonly List[] {
    if (only !== undefined) {
      const [namespace = '', name = ''] = only.split('/');
      return [{ namespace, query: { fieldSelector: `metadata.name=${name}` }, has: (key) => key === only }];
    }
    const { namespaces } = this.#options;
    if (namespaces.length === 0 || !isNamespaced) return [{ namespace: undefined, query: {}, has: () => true }];
    return namespaces.map((namespace) => ({ namespace, query: {}, has: (key) => key.startsWith(`${namespace}/`) }));
  }

  #listWatch(
    { kind, apiVersion, plural, query, metadataOnly = false, only }: WatchedKind,
    list: List,
  ): { readonly begun: Promise<void>; readonly run: (signal: AbortSignal) => Promise<void> } {
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const path = list.namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${list.namespace}/${plural}`;
    const name = only === undefined ? path : `${path}/${only.slice(only.indexOf('/') + 1)}`;
    const begun = Promise.withResolvers<void>();
    const sink = this.#objects.sink(kind, apiVersion, list.has, () => {
      begun.resolve();
      this.#waiting.delete(name);
      this.#settleIfSynced();
    });
    const log = this.#outages.of(name);
    const meters = this.#options.meters?.(kind);
    const watch = new ListWatch({
      server: this.#options.server,
      path,
      query: { ...query, ...list.query },
      metadataOnly,
      sink,
      log: {
        info: (message, fields) => log.info(message, fields),
        warn: (message, fields) => {
          const { error } = fields;
          if (error instanceof ApiError && REFUSALS.has(error.status)) begun.resolve();
          log.warn(message, fields);
        },
      },
      nowMs: () => performance.now(),
      ...(meters === undefined ? {} : { meters }),
      ...this.#options.watch,
    });
    if (!this.#isSynced) this.#waiting.set(name, () => watch.failure);
    return {
      begun: begun.promise,
      run: async (signal) => {
        await watch.run(signal);
        begun.resolve();
        this.#waiting.delete(name);
        this.#outages.stopped(name);
        this.#settleIfSynced();
      },
    };
  }

  #settleIfSynced(): void {
    if (this.#isSynced || !this.#custom.isKnown || this.#waiting.size > 0) return;
    this.#isSynced = true;
    this.#synced.resolve();
  }
}
