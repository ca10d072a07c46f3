/**
 * The roots of the certificate authority in each namespace, as the ConfigMap that injected pods mount: they do not start without it.
 * **In**: the roots, an API server. **Out**: `istio-ca-root-cert` in each namespace, written again whenever anybody changes or deletes it.
 * **Fails**: never; what cannot be listed, watched or written is retried and logged.
 *
 * As istiod does, it sets the key of the roots in whatever ConfigMap has the name, and leaves its other keys.
 */
import {
  ApiError,
  Applier,
  keySink,
  type KubeObject,
  ListWatch,
  type ListWatchOptions,
  type Metadata,
  type ReadApiServer,
  type KeySinkOptions,
} from '../../kubernetes/index.ts';
import type { OwnLog } from '../../log/log.ts';
import { Backoff, type BackoffOptions } from '../../time/backoff.ts';
import { type Failure, KeyedWork } from '../../time/keyed-work.ts';
import { Throttle } from '../../time/throttle.ts';
import { ClusterFailures } from './cluster-failures.ts';

export interface RootConfigMapsOptions {
  readonly server: ReadApiServer;
  /** Empty: all but those of the system. */
  readonly namespaces: readonly string[];
  /** Whether a namespace with these labels belongs to the mesh; absent: all do. Not asked about `namespaces`. */
  readonly isOfMesh?: (labels: ReadonlyMap<string, string>) => boolean;
  /** In PEM. */
  readonly roots: readonly string[];
  readonly log: Pick<OwnLog, 'info' | 'warn' | 'error'>;
  /** For tests. */
  readonly watch?: Pick<ListWatchOptions, 'backoff' | 'pageSize' | 'silentAfterMs' | 'watchForMs'> | undefined;
  readonly backoff?: BackoffOptions;
  readonly concurrency?: number;
}

/** For the admin port. */
export interface RootConfigMapsState {
  readonly namespaces: number;
  /** Of them, with the roots in force. */
  readonly current: number;
  /** That cannot be written at the moment, at most ten. */
  readonly failing: readonly string[];
}

type Followed = Omit<KeySinkOptions, 'listed'> & Pick<ListWatchOptions, 'metadataOnly' | 'query'>;

interface Written {
  readonly roots: string;
  readonly atMs: number;
  /** Of writes after a change by another, with less than a minute between them. */
  readonly corrections: number;
}

const NAME = 'istio-ca-root-cert';
const KEY = 'root-cert.pem';
/** istiod recognizes its own objects by it. */
const LABELS = { 'istio.io/config': 'true' };
/** Nobody runs workloads of a mesh there; istiod leaves them out, too. */
const SYSTEM: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease']);
const NAMESPACES_PATH = '/api/v1/namespaces';
const CONCURRENCY = 8;
/** Of one namespace. */
const MAX_PAUSE_MS = 60_000;
const QUIET_MS = 60_000;
/** So many in a row are no accident. */
const DISPUTE = 3;
const MAX_NAMED = 10;

/** All permissions that it needs, so that one log line names them. */
const GRANT = JSON.stringify([
  { apiGroups: [''], resources: ['namespaces'], verbs: ['list', 'watch'] },
  { apiGroups: [''], resources: ['configmaps'], resourceNames: [NAME], verbs: ['list', 'watch', 'create', 'patch'] },
]);

export class RootConfigMaps implements AsyncDisposable {
  readonly #options: RootConfigMapsOptions;
  readonly #applier: Applier;
  readonly #work: KeyedWork;
  readonly #over = new AbortController();
  readonly #running: Promise<unknown>;
  /** Those that exist, and are not being deleted. */
  readonly #namespaces = new Set<string>();
  /** The roots that each ConfigMap has. */
  readonly #held = new Map<string, string | undefined>();
  readonly #written = new Map<string, Written>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #failures: ClusterFailures;
  readonly #disputeLog = new Throttle();
  /** Lists that were not complete yet. */
  readonly #waiting = new Set<string>();
  #roots: string;

  constructor(options: RootConfigMapsOptions) {
    this.#options = options;
    this.#roots = options.roots.join('');
    const { server, namespaces, log, concurrency = CONCURRENCY } = options;
    this.#failures = new ClusterFailures({ log, grant: GRANT, recovered: `the ConfigMaps ${NAME} are written again` });
    this.#applier = new Applier({ server, fieldManager: 'sluice-mesh', maxSockets: concurrency });
    this.#work = new KeyedWork({
      work: (namespace) => this.#write(namespace),
      onFailure: (namespace, error) => this.#failed(namespace, error),
      concurrency,
      backoff: { mostMs: MAX_PAUSE_MS, ...options.backoff },
    });
    // A Role cannot grant namespaces, so those that are named are taken to exist; one that does not is tried again.
    for (const namespace of namespaces) if (!SYSTEM.has(namespace)) this.#namespaces.add(namespace);
    const watches =
      namespaces.length === 0
        ? [this.#watchOfNamespaces(), this.#watchOfConfigMaps('/api/v1/configmaps')]
        : [...this.#namespaces].map((one) => this.#watchOfConfigMaps(`${NAMESPACES_PATH}/${one}/configmaps`));
    this.#running = Promise.all(watches.map((watch) => watch.run(this.#over.signal))).catch((error: unknown) => {
      this.#over.abort();
      log.error(`internal error: ConfigMaps ${NAME} are no longer watched`, { error });
    });
  }

  get state(): RootConfigMapsState {
    const current = [...this.#namespaces].filter((namespace) => !this.#isDue(namespace)).length;
    return { namespaces: this.#namespaces.size, current, failing: this.#failures.failing.slice(0, MAX_NAMED) };
  }

  /** In PEM: old and new ones while roots are rotated. */
  use(roots: readonly string[]): void {
    this.#roots = roots.join('');
    if (this.#waiting.size > 0) return;
    for (const namespace of this.#namespaces) if (this.#isDue(namespace)) this.#work.add(namespace);
  }

  /** Requests that are under way are given up: the next process writes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all([this.#running, this.#work.close()]);
    await this.#applier.close();
  }

  #isDue(namespace: string): boolean {
    return this.#namespaces.has(namespace) && this.#held.get(namespace) !== this.#roots;
  }

  #look(namespace: string): void {
    if (this.#waiting.size > 0 || !this.#isDue(namespace) || this.#work.has(namespace)) return;
    this.#work.add(namespace, this.#pauseOf(namespace));
  }

  /** Another control plane may write its own roots, for ever: then corrections become rare. */
  #pauseOf(namespace: string): number {
    const written = this.#written.get(namespace);
    if (written?.roots !== this.#roots) return 0;
    if (performance.now() - written.atMs >= QUIET_MS) {
      this.#backoffs.delete(namespace);
      return 0;
    }
    const backoff = this.#backoffs.get(namespace) ?? new Backoff({ mostMs: MAX_PAUSE_MS, ...this.#options.backoff });
    this.#backoffs.set(namespace, backoff);
    return backoff.next();
  }

  async #write(namespace: string): Promise<void> {
    if (!this.#isDue(namespace)) {
      this.#failures.succeeded(namespace); // another program has written them
      return;
    }
    const roots = this.#roots;
    const metadata = { name: NAME, namespace, labels: LABELS };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [KEY]: roots } };
    await this.#applier.apply(`${NAMESPACES_PATH}/${namespace}/configmaps/${NAME}`, object, this.#over.signal);
    if (!this.#namespaces.has(namespace)) return;
    this.#held.set(namespace, roots);
    this.#wrote(namespace, roots);
  }

  #wrote(namespace: string, roots: string): void {
    const before = this.#written.get(namespace);
    const atMs = performance.now();
    const isCorrection = before !== undefined && before.roots === roots && atMs - before.atMs < QUIET_MS + MAX_PAUSE_MS;
    const corrections = isCorrection ? before.corrections + 1 : 0;
    this.#written.set(namespace, { roots, atMs, corrections });
    const { log } = this.#options;
    if (corrections >= DISPUTE && this.#disputeLog.admit() > 0)
      log.warn(
        `another program changes the ConfigMap ${NAME} again and again; give all control planes one root, or write it by one of them`,
        { namespace, corrections },
      );
    this.#failures.succeeded(namespace);
  }

  #failed(namespace: string, error: unknown): Failure {
    const { status, retryAfterMs } = error instanceof ApiError ? error : { status: 0, retryAfterMs: 0 };
    const isNamed = this.#options.namespaces.length > 0;
    if (!(error instanceof ApiError) || !isPassing(error, isNamed))
      this.#failures.failed(
        namespace,
        `the ConfigMap ${NAME} cannot be written; injected pods do not start without it`,
        error,
      );
    return { isShared: status === 0 || status === 401 || status === 429 || status >= 500, leastMs: retryAfterMs };
  }

  #watchOfNamespaces(): ListWatch {
    const { isOfMesh = () => true } = this.#options;
    return this.#listWatch(NAMESPACES_PATH, {
      metadataOnly: true,
      keyOf: ({ metadata }) => (metadata?.name === undefined || SYSTEM.has(metadata.name) ? undefined : metadata.name),
      put: (namespace, { metadata }) => {
        const { deletionTimestamp, labels = {} } = metadata as Metadata & { readonly deletionTimestamp?: string };
        if (deletionTimestamp !== undefined || !isOfMesh(new Map(Object.entries(labels)))) {
          this.#forget(namespace);
        } else if (!this.#namespaces.has(namespace)) {
          this.#namespaces.add(namespace);
          this.#look(namespace);
        }
      },
      remove: (namespace) => this.#forget(namespace),
    });
  }

  #watchOfConfigMaps(path: string): ListWatch {
    return this.#listWatch(path, {
      query: { fieldSelector: `metadata.name=${NAME}` },
      keyOf: ({ metadata }) => (metadata?.name === NAME ? metadata.namespace : undefined),
      put: (namespace, object) => {
        const roots = rootsOf(object);
        this.#held.set(namespace, roots === this.#roots ? this.#roots : roots); // one text for all
        this.#look(namespace);
      },
      remove: (namespace) => {
        this.#held.delete(namespace);
        this.#look(namespace);
      },
    });
  }

  #listWatch(path: string, { keyOf, put, remove, ...resource }: Followed): ListWatch {
    const listed = (): void => {
      this.#waiting.delete(path);
      for (const namespace of this.#namespaces) this.#look(namespace);
    };
    this.#waiting.add(path);
    const { server, watch, log } = this.#options;
    return new ListWatch({
      ...watch,
      ...resource,
      server,
      path,
      sink: keySink({ keyOf, put, remove, listed }),
      nowMs: () => performance.now(),
      log: {
        info: () => this.#failures.succeeded(path),
        warn: (message, fields) => {
          const { error } = fields;
          if (error === undefined) log.warn(message, fields);
          else
            this.#failures.failed(
              path,
              `ConfigMaps ${NAME} cannot be watched; they are not written into new namespaces`,
              error,
            );
        },
      },
    });
  }

  #forget(namespace: string): void {
    this.#namespaces.delete(namespace);
    this.#work.forget(namespace);
    this.#failures.succeeded(namespace);
    this.#held.delete(namespace);
    this.#written.delete(namespace);
    this.#backoffs.delete(namespace);
  }
}

const rootsOf = (object: KubeObject): string | undefined =>
  (object as { readonly data?: Readonly<Record<string, string>> | null }).data?.[KEY];

/** Conflicts that the watch resolves: the namespace is being deleted or gone, or two programs wrote at once. */
const isPassing = ({ status, message }: ApiError, isNamed: boolean): boolean =>
  status === 409 || (status === 404 && !isNamed) || (status === 403 && message.includes('is being terminated'));
