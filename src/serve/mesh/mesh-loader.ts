/**
 * The mesh in force, made of files and of a Kubernetes API server.
 * **In**: paths, an API server. **Out**: a mesh, again at each change. **Fails**: before the first mesh with a {@link StartError}; later
 * never: files with errors are logged, and their last good version stays in use; an object of the API server with errors likewise.
 */
import { type Finding, findingsCount } from '../../yaml/findings.ts';
import type { OwnLog } from '../../log/log.ts';
import type { ReadApiServer } from '../../kubernetes/index.ts';
import type { Mesh, MeshSettings } from '../../mesh/model/mesh.ts';
import { Composition } from '../../mesh/sources/composition.ts';
import { usedSecrets } from '../../mesh/model/credential-access.ts';
import { KubernetesSource, type KubernetesSourceOptions } from '../../mesh/sources/kubernetes.ts';
import type { RefusedObject } from '../../mesh/sources/kubernetes-objects.ts';
import { type MeshObjects, noObjects } from '../../mesh/sources/objects.ts';
import { UnreadKinds, type UnreadObject } from '../../mesh/sources/unread-kinds.ts';
import { MeshFiles } from '../../mesh/sources/mesh-files.ts';
import { messageOf } from '../../text/message-of.ts';
import { positionText } from '../../yaml/source-text.ts';
import { Debounce } from '../../xds/index.ts';
import { StartError } from '../errors.ts';
import { UnreadLog } from './unread-log.ts';

export interface MeshLoaderOptions {
  /** Absolute. */
  readonly paths: readonly string[];
  readonly kubernetes: KubernetesOptions | undefined;
  readonly settings: MeshSettings;
  readonly log: OwnLog;
  readonly onFindings?: ((findings: readonly Finding[]) => void) | undefined;
}

export interface KubernetesOptions extends Pick<
  KubernetesSourceOptions,
  'namespaces' | 'watch' | 'discoverEveryMs' | 'meters'
> {
  /** Throws if the environment or the file has no API server. */
  readonly server: () => ReadApiServer;
}

export interface LoadedMesh {
  readonly mesh: Mesh;
  readonly version: string;
}

export interface MeshLoading {
  /** undefined: no mesh is in force yet. */
  readonly atMs: number | undefined;
  /** Resources of the API server that were never listed. */
  readonly waitingFor: readonly string[];
  /** About the mesh in force: warnings, and objects of the API server that are without effect, or not used in their newest version. */
  readonly findings: readonly Finding[];
  /** Of newer files with errors. */
  readonly refusal: { readonly atMs: number; readonly why: string; readonly findings: readonly Finding[] } | undefined;
  /** Since the start: meshes that came into force, and changes of files that were refused. */
  readonly loads: { readonly loaded: number; readonly refused: number };
  /** undefined: files alone. */
  readonly kubernetes:
    | { readonly isSynced: boolean; readonly objectsWithErrors: number; readonly unread: readonly UnreadObject[] }
    | undefined;
}

type Placed = Pick<UnreadObject, 'kind' | 'namespace'>;

/** Changes of the API server that come closer together than the first, and at the latest the second, make one mesh; Istio's own pause. */
const DEBOUNCE = { quietMs: 100, maxMs: 1000 };
const WAITING_LOG_MS = 30_000;

export class MeshLoader implements AsyncDisposable {
  readonly #options: MeshLoaderOptions;
  readonly #composition: Composition;
  readonly #meshFiles = new MeshFiles();
  readonly #over = new AbortController();
  readonly #changed: Debounce;
  #source: KubernetesSource | undefined;
  #unread: UnreadKinds | undefined;
  readonly #unreadLog: UnreadLog;
  #running: Promise<void> = Promise.resolve();
  #files: { readonly objects: MeshObjects; readonly version: string } = { objects: noObjects(), version: '' };
  readonly #logged = new WeakSet<RefusedObject>();
  /** Meshes that the API server has caused. */
  #changes = 0;
  #loading: Omit<MeshLoading, 'waitingFor' | 'kubernetes'> = {
    atMs: undefined,
    findings: [],
    refusal: undefined,
    loads: { loaded: 0, refused: 0 },
  };
  #onMesh: (loaded: LoadedMesh) => void = () => undefined;

  constructor(options: MeshLoaderOptions) {
    this.#options = options;
    this.#composition = new Composition(options.settings);
    this.#unreadLog = new UnreadLog(options.log);
    this.#changed = new Debounce(DEBOUNCE, () => {
      this.#changes++;
      this.#onMesh(this.#compose());
    });
  }

  get loading(): MeshLoading {
    const waitingFor = this.#loading.atMs === undefined ? (this.#source?.waitingFor ?? []) : [];
    const ofMesh = <T extends Placed>(objects: Iterable<T> = []): T[] =>
      [...objects].filter((one) => this.#isOfMesh(one));
    const [refused, unread] = [ofMesh(this.#source?.refused), ofMesh(this.#unread?.objects)];
    const findings = [
      ...this.#loading.findings,
      ...refused.flatMap((one) => one.findings),
      ...unread.map(({ finding }) => finding),
    ];
    const kubernetes = this.#source && { isSynced: this.#source.isSynced, objectsWithErrors: refused.length, unread };
    return { ...this.#loading, waitingFor, findings, kubernetes };
  }

  /** Reads files, and asks whether there is an API server. Rejects with a {@link StartError}. */
  async open(): Promise<void> {
    const { paths, kubernetes, onFindings, log } = this.#options;
    const read = await this.#meshFiles.read(paths);
    const { objects = noObjects(), version } = read;
    this.#files = { objects, version };
    // References may lead to objects of the API server, so their findings are of use once those are known, at /mesh.
    const references = kubernetes === undefined ? this.#composition.make(objects, noObjects()).findings : [];
    onFindings?.([...read.findings, ...references]);
    if (read.objects === undefined) throw new StartError('CLI_MESH', `the mesh has ${findingsCount(read.findings)}`);
    if (kubernetes === undefined) return;
    const { server, ...others } = kubernetes;
    let readServer: ReadApiServer;
    try {
      readServer = server();
      await readServer();
    } catch (error) {
      throw new StartError('CLI_KUBERNETES', messageOf(error), { cause: error });
    }
    this.#source = new KubernetesSource({
      ...others,
      server: readServer,
      listsNamespaces: (this.#options.settings.discoverySelectors ?? []).length > 0,
      log,
      onChange: (kind, namespace) => {
        if (this.#isOfMesh({ kind, namespace })) this.#changed.changed();
      },
      onRefused: (refused) => this.#logRefused(refused),
    });
    this.#unread = new UnreadKinds({
      ...others,
      server: readServer,
      log,
      onObject: (object) => this.#logUnread(object),
    });
    this.#running = Promise.all([this.#source.run(this.#over.signal), this.#unread.run(this.#over.signal)])
      .then(() => undefined)
      .catch((error: unknown) =>
        log.error('internal error: Kubernetes is no longer watched, the last known mesh stays in force', { error }),
      );
  }

  /** Once every list of the API server was complete. Rejects if the signal is aborted before. */
  async first(signal: AbortSignal, onMesh: (loaded: LoadedMesh) => void): Promise<LoadedMesh> {
    const source = this.#source;
    if (source !== undefined) {
      await this.#until(source.synced, source, signal);
      // A gateway without its certificate would close its port.
      await this.#until(source.watchSecrets(this.#secretsOf(source)), source, signal);
    }
    this.#onMesh = onMesh;
    return this.#compose();
  }

  /** Resolves with false if the files have errors. */
  async reload(): Promise<boolean> {
    const { paths, log, onFindings } = this.#options;
    const read = await this.#meshFiles.read(paths);
    if (read.version === this.#files.version && this.#loading.refusal === undefined) return true;
    if (read.objects === undefined) {
      onFindings?.(read.findings);
      const why = `the mesh has ${findingsCount(read.findings)}`;
      const { loads } = this.#loading;
      this.#loading = {
        ...this.#loading,
        refusal: { atMs: Date.now(), why, findings: read.findings },
        loads: { ...loads, refused: loads.refused + 1 },
      };
      log.error('the mesh has errors; the last good one stays in force', { why, version: this.#version });
      return false;
    }
    this.#files = { objects: read.objects, version: read.version };
    this.#loading = { ...this.#loading, refusal: undefined };
    const loaded = this.#compose();
    onFindings?.([...read.findings, ...this.#loading.findings]);
    this.#onMesh(loaded);
    log.info('mesh loaded', { version: loaded.version, services: loaded.mesh.services.size });
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#changed[Symbol.dispose]();
    this.#unreadLog[Symbol.dispose]();
    this.#over.abort();
    await this.#running;
  }

  get #version(): string {
    const { version } = this.#files;
    if (this.#source === undefined) return version;
    return `${this.#options.paths.length === 0 ? '' : `${version}-`}${this.#changes}`;
  }

  #compose(): LoadedMesh {
    if (this.#source !== undefined) void this.#source.watchSecrets(this.#secretsOf(this.#source));
    const { mesh, findings } = this.#composition.make(this.#files.objects, this.#source?.objects ?? noObjects());
    // Their namespace may be a new one of the mesh.
    for (const refused of this.#source?.refused ?? []) this.#logRefused(refused);
    for (const unread of this.#unread?.objects ?? []) this.#logUnread(unread);
    const { loads } = this.#loading;
    this.#loading = { ...this.#loading, atMs: Date.now(), findings, loads: { ...loads, loaded: loads.loaded + 1 } };
    return { mesh, version: this.#version };
  }

  /** That proxies use, by rules of files too. */
  #secretsOf({ objects }: KubernetesSource): ReadonlySet<string> {
    return usedSecrets(this.#composition.objectsOf(this.#files.objects, objects));
  }

  #isOfMesh({ kind, namespace }: Placed): boolean {
    return this.#composition.discovers(kind, namespace);
  }

  async #until(listed: Promise<void>, source: KubernetesSource, signal: AbortSignal): Promise<void> {
    const stopped = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      signal.throwIfAborted();
    });
    const reminder = setInterval(
      () =>
        this.#options.log.warn('still waiting for lists of the Kubernetes API; proxies are not served yet', {
          waitingFor: source.waitingFor,
        }),
      WAITING_LOG_MS,
    );
    try {
      await Promise.race([listed, stopped]);
    } finally {
      clearInterval(reminder);
    }
  }

  #logUnread(unread: UnreadObject): void {
    if (this.#isOfMesh(unread)) this.#unreadLog.take(unread);
  }

  #logRefused(refused: RefusedObject): void {
    const { findings, hasGood } = refused;
    const [finding] = findings;
    if (finding === undefined || this.#logged.has(refused) || !this.#isOfMesh(refused)) return;
    this.#logged.add(refused);
    this.#options.log.error(
      hasGood
        ? 'an object of the Kubernetes API has errors; its last good version stays in use'
        : 'an object of the Kubernetes API has errors; it is left out',
      { object: positionText(finding.position), code: finding.code, why: finding.message, errors: findings.length },
    );
  }
}
