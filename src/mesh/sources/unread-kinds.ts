/**
 * Objects of an API server that are without effect here: of kinds of Istio that the control plane does not read, or that proxies do not
 * enforce by themselves. Their metadata alone are watched where these tell enough.
 * **In**: an API server, namespaces. **Out**: each object with its finding, once when it appears. **Fails**: never; a kind that the server
 * does not have, or does not let us list, has no objects here, and holds up nothing.
 */
import {
  ApiError,
  type KubeObject,
  keySink,
  ListWatch,
  type ReadApiServer,
  type ServedKind,
} from '../../kubernetes/index.ts';
import type { Finding } from '../../yaml/findings.ts';
import { kindOf } from '../rules/kinds.ts';
import { CustomKinds } from './custom-kinds.ts';
import type { KubernetesSourceOptions } from './kubernetes.ts';
import { rbacRule } from './outage-log.ts';

export interface UnreadObject {
  readonly kind: string;
  readonly namespace: string;
  /** A warning. */
  readonly finding: Finding;
}

export interface UnreadKindsOptions extends Pick<KubernetesSourceOptions, 'namespaces' | 'log' | 'watch'> {
  readonly server: ReadApiServer;
  readonly onObject: (object: UnreadObject) => void;
  /** How often the server is asked which of the kinds it has. */
  readonly discoverEveryMs?: number | undefined;
}

interface UnreadKind {
  /** The preferred one first. */
  readonly versions: readonly string[];
  /** A sentence without its full stop; otherwise that of the same object in a file. */
  readonly why?: string;
  /** Whether Istio would read the object; without it each of them, by its metadata. */
  readonly isOfIstio?: (object: Fields) => boolean;
}
type Fields = KubeObject & { readonly spec?: Readonly<Record<string, unknown>> | null };

const byPolicy = (does: string): string =>
  `no proxy ${does} by it alone; \`sluice serve\` does, once a file of its policy has the object (docs/istio.md)`;

const isForServices = ({ spec }: Fields): boolean =>
  Array.isArray(spec?.['parentRefs']) &&
  spec['parentRefs'].some((parent: unknown) =>
    ['Service', 'ServiceEntry'].includes((parent as { kind?: string })?.kind ?? ''),
  );
const gatewayApi = (...versions: readonly string[]): readonly string[] =>
  versions.map((version) => `gateway.networking.k8s.io/${version}`);

export const UNREAD_KINDS: Readonly<Record<string, UnreadKind>> = {
  EnvoyFilter: { versions: ['networking.istio.io/v1alpha3'] },
  ProxyConfig: { versions: ['networking.istio.io/v1beta1'] },
  WorkloadGroup: {
    versions: ['networking.istio.io/v1', 'networking.istio.io/v1beta1', 'networking.istio.io/v1alpha3'],
  },
  Telemetry: { versions: ['telemetry.istio.io/v1', 'telemetry.istio.io/v1alpha1'] },
  WasmPlugin: { versions: ['extensions.istio.io/v1alpha1'] },
  TrafficExtension: { versions: ['extensions.istio.io/v1alpha1'] },
  AuthorizationPolicy: {
    versions: ['security.istio.io/v1', 'security.istio.io/v1beta1'],
    why: byPolicy('refuses a call'),
  },
  RequestAuthentication: {
    versions: ['security.istio.io/v1', 'security.istio.io/v1beta1'],
    why: byPolicy('refuses a token'),
  },
  Ingress: {
    versions: ['networking.k8s.io/v1'],
    isOfIstio: ({ metadata, spec }) =>
      spec?.['ingressClassName'] === 'istio' || metadata?.annotations?.['kubernetes.io/ingress.class'] === 'istio',
  },
  Gateway: {
    versions: gatewayApi('v1', 'v1beta1'),
    isOfIstio: ({ spec }) => String(spec?.['gatewayClassName']).startsWith('istio'), // istio-waypoint, istio-remote
  },
  // Routes of a Gateway have no effect either; its own finding says so.
  HTTPRoute: { versions: gatewayApi('v1', 'v1beta1'), isOfIstio: isForServices },
  GRPCRoute: { versions: gatewayApi('v1', 'v1alpha2'), isOfIstio: isForServices },
  TCPRoute: { versions: gatewayApi('v1', 'v1alpha2'), isOfIstio: isForServices },
  TLSRoute: { versions: gatewayApi('v1', 'v1alpha3', 'v1alpha2'), isOfIstio: isForServices },
};

const DISCOVER_EVERY_MS = 60_000;
/** A right that is missing may stay so. */
const BACKOFF = { mostMs: 300_000 };

export class UnreadKinds {
  readonly #options: UnreadKindsOptions;
  readonly #objects = new Map<string, UnreadObject>();
  /** Kinds whose refusal was logged. */
  readonly #refused = new Set<string>();

  constructor(options: UnreadKindsOptions) {
    this.#options = options;
  }

  get objects(): Iterable<UnreadObject> {
    return this.#objects.values();
  }

  /** Resolves when the signal is aborted. Rejects if a part of this program fails. */
  async run(signal: AbortSignal): Promise<void> {
    const { server, watch, discoverEveryMs = DISCOVER_EVERY_MS } = this.#options;
    const failed = new AbortController();
    const until = AbortSignal.any([signal, failed.signal]);
    const running = new Set<Promise<void>>();
    const kinds = new CustomKinds({
      server,
      wanted: Object.fromEntries(Object.entries(UNREAD_KINDS).map(([kind, { versions }]) => [kind, versions])),
      everyMs: discoverEveryMs,
      backoff: watch?.backoff,
      watch: (kind, served, stop) => {
        for (const one of this.#listWatches(kind, served)) {
          const ended = one
            .run(AbortSignal.any([until, stop]))
            .catch((error: unknown) => failed.abort(error))
            .finally(() => running.delete(ended));
          running.add(ended);
        }
      },
      forget: (kind) => {
        for (const key of this.#objects.keys()) if (key.startsWith(`${kind} `)) this.#objects.delete(key);
      },
    });
    await kinds.run(until);
    await Promise.all(running);
    if (failed.signal.aborted) throw failed.signal.reason;
  }

  #listWatches(kind: string, { apiVersion, plural, isNamespaced }: ServedKind): readonly ListWatch[] {
    const { server, namespaces, watch } = this.#options;
    const of = namespaces.length === 0 || !isNamespaced ? [''] : namespaces.map((name) => `namespaces/${name}/`);
    const isOfIstio = UNREAD_KINDS[kind]?.isOfIstio;
    return of.map(
      (inNamespace) =>
        new ListWatch({
          server,
          path: `/apis/${apiVersion}/${inNamespace}${plural}`,
          metadataOnly: isOfIstio === undefined,
          sink: keySink<Fields>({
            keyOf: ({ metadata }) => `${kind} ${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`,
            put: (key, object) => this.#put(kind, apiVersion, key, isOfIstio?.(object) ?? true),
            remove: (key) => this.#objects.delete(key),
            listed: () => undefined,
          }),
          log: { info: () => undefined, warn: (_, { path, error }) => this.#logRefusal(kind, String(path), error) },
          nowMs: () => performance.now(),
          backoff: BACKOFF,
          ...watch,
        }),
    );
  }

  #put(kind: string, apiVersion: string, key: string, isOfIstio: boolean): void {
    if (!isOfIstio) this.#objects.delete(key);
    else if (!this.#objects.has(key)) {
      const object = unreadObject(kind, apiVersion, key);
      this.#objects.set(key, object);
      this.#options.onObject(object);
    }
  }

  /** Once for each kind; a server that is away is logged by the source of the mesh. */
  #logRefusal(kind: string, path: string, error: unknown): void {
    if (!(error instanceof ApiError) || ![401, 403].includes(error.status) || this.#refused.has(kind)) return;
    this.#refused.add(kind);
    this.#options.log.warn('a kind without effect in the mesh cannot be listed, so its objects are not reported', {
      kind,
      path,
      error,
      grant: rbacRule(path),
    });
  }
}

function unreadObject(kind: string, apiVersion: string, key: string): UnreadObject {
  const known = kindOf({ kind, apiVersion });
  const message = UNREAD_KINDS[kind]?.why ?? (known.kind === 'unknown' ? known.why : '');
  const position = { file: `${key} (kubernetes)`, line: 0, column: 0 };
  return {
    kind,
    namespace: key.slice(kind.length + 1, key.indexOf('/')),
    finding: { severity: 'warning', position, code: 'MESH_KIND', message, excerpt: undefined },
  };
}
