/**
 * The server of `sluice mesh`: a mesh that is watched on disk, the discovery service for proxies, an admin port.
 * **In**: paths of a mesh, addresses, a log. **Out**: a server that brings each change to all proxies, and drains.
 * **Fails**: with a {@link StartError}; later never: a mesh with errors is logged, and the last good one stays in force.
 */
import { resolve } from 'node:path';
import type { Finding } from '../../yaml/findings.ts';
import type { OwnLog } from '../../log/log.ts';
import { ControlPlane } from '../../mesh/control-plane.ts';
import { type MeshSettings, meshOf } from '../../mesh/model/mesh.ts';
import { isSelected } from '../../mesh/rules/label-selector.ts';
import { noObjects } from '../../mesh/sources/objects.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Address } from '../../transport/index.ts';
import { Debounce, type ProxyState, shortName, XdsServer, type XdsServerOptions } from '../../xds/index.ts';
import { atAddress, listenGrpc } from '../grpc-listener.ts';
import { oneAtATime } from '../one-at-a-time.ts';
import { RefusedConnections } from '../refused-connections.ts';
import { watchPolicy } from '../watch-files.ts';
import { startMeshAdmin } from './admin.ts';
import { type KubernetesOptions, MeshLoader } from './mesh-loader.ts';
import { MeshMeters } from './meters.ts';
import { RefusedCredentials } from './refused-credentials.ts';
import type { RootConfigMaps } from './root-config-maps.ts';
import type { SecureOptions, SecurePort } from './secure-port.ts';

export interface MeshServerOptions {
  readonly configs: readonly string[];
  /** `undefined`: files alone. */
  readonly kubernetes?: KubernetesOptions | undefined;
  readonly settings: MeshSettings;
  /** Port 0: any free port. */
  readonly xds: Address;
  /** `undefined`: workloads get no certificates. */
  readonly secure?: SecureOptions | undefined;
  /** `undefined`: no admin port. */
  readonly admin: Address | undefined;
  readonly log: OwnLog;
  readonly graceMs: number;
  readonly onFindings?: (findings: readonly Finding[]) => void;
  /** How often files are looked at. */
  readonly everyMs?: number;
}

export interface MeshServer {
  readonly xds: Address;
  readonly secure: Address | undefined;
  readonly admin: Address | undefined;
  readonly plane: ControlPlane;
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

/** Changes that come closer together than the first, and at the latest the second, are pushed as one. */
const DEBOUNCE = { quietMs: 20, maxMs: 500 };
/** A change is read when two looks at the files are equal, so this is half of the time that it waits. */
const WATCH_MS = 50;

/** Rejects if the signal is aborted while it waits for the API server. */
export async function startMeshServer(options: MeshServerOptions, signal: AbortSignal): Promise<MeshServer> {
  const { configs, kubernetes, settings, log, onFindings, graceMs, everyMs = WATCH_MS } = options;
  const paths = configs.map((path) => resolve(path));
  await using stack = new AsyncDisposableStack();
  const meters = new MeshMeters();
  const watched = kubernetes === undefined ? undefined : { ...kubernetes, meters: meters.ofKind };
  const loader = stack.use(new MeshLoader({ paths, kubernetes: watched, settings, log, onFindings }));
  await loader.open();
  const port = options.secure === undefined ? undefined : stack.use(await openSecure(options.secure, log));
  const rootMaps = port === undefined ? undefined : await openRootConfigMaps(options, port);
  stack.defer(() => rootMaps?.[Symbol.asyncDispose]());
  const refusedCredentials = new RefusedCredentials(log);
  const plane = new ControlPlane(meshOf(noObjects(), settings), 'none', {
    identities: port?.workloads,
    onCredentialsRefused: (proxy, refused) => refusedCredentials.take(proxy, refused),
    log,
  });
  const common: XdsServerOptions = {
    source: plane,
    meters,
    onRefused: (proxy, { typeUrl, why, resources }) => {
      meters.refused(typeUrl);
      log.error('a proxy refuses its new configuration, and keeps the last', {
        proxy: proxy.id,
        type: shortName(typeUrl),
        of: resources.map(({ name, origin }) => origin ?? name).slice(0, MAX_NAMED),
        why,
      });
    },
    onWarming: (proxy, clusters) =>
      log.warn('a proxy has not accepted clusters, and refuses none: routes to them wait, and its old clusters stay', {
        proxy: proxy.id,
        clusters: clusters
          .slice(0, MAX_NAMED)
          .map(({ name, origin, why }) => ({ name, ...(origin && { of: origin }), why })),
        ...(clusters.length > MAX_NAMED ? { more: clusters.length - MAX_NAMED } : {}),
      }),
    onFault: (proxy, error) =>
      log.error('internal error while making the configuration of a proxy', {
        proxy: proxy.id,
        error: messageOf(error),
      }),
  };
  // The plain port authenticates no client, so it never carries a key.
  const plain = new XdsServer(common);
  const secured = port === undefined ? undefined : new XdsServer({ ...common, authenticate: port.identityOf });
  const push = new Debounce(DEBOUNCE, (firstAtMs) => {
    plain.changed(firstAtMs);
    secured?.changed(firstAtMs);
  });
  const proxies = (): readonly ProxyState[] => [...plain.proxies(), ...(secured?.proxies() ?? [])];

  stack.defer(() => push[Symbol.dispose]());
  const admin =
    options.admin === undefined
      ? undefined
      : await atAddress(options.admin, (at) =>
          startMeshAdmin({
            ...at,
            plane,
            proxies,
            loading: () => loader.loading,
            identity: () => port && { ...port.state, rootConfigMaps: rootMaps?.state ?? null },
            families: [
              ...meters.families({ proxies, plane, loading: () => loader.loading }),
              ...(port === undefined ? [] : [refusedCredentials.family, ...port.families(() => rootMaps?.state)]),
            ],
            log,
          }),
        );
  stack.defer(() => admin?.close());
  // The ports open with the first complete mesh: a proxy that reconnects must not receive an empty one.
  const first = await loader.first(signal, ({ mesh, version }) => {
    plane.use(mesh, version);
    push.changed();
  });
  plane.use(first.mesh, first.version);
  const transport = await listenGrpc({
    methods: plain.methods,
    address: options.xds,
    tls: undefined,
    reusePort: false,
    refused: new RefusedConnections(log, port === undefined ? undefined : '--secure'),
    log,
  });
  stack.defer(() => transport.drain(graceMs));
  const secure = await port?.listen(secured?.methods ?? new Map(), graceMs);
  const reload = oneAtATime(() => loader.reload());
  const watch = watchPolicy({
    part: 'mesh',
    roots: paths,
    files: () => [],
    log,
    onChange: () =>
      void reload().catch((error: unknown) => log.error('internal error while reading the mesh', { error })),
    everyMs,
  });
  stack.defer(() => watch.close());
  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    xds: { host: transport.host, port: transport.port },
    secure,
    admin: admin === undefined ? undefined : { host: admin.host, port: admin.port },
    plane,
    reload,
    drain: () => (drained ??= open.disposeAsync()),
  };
}

const openSecure = async (options: SecureOptions, log: OwnLog): Promise<SecurePort> =>
  (await import('./secure-port.ts')).SecurePort.open(options, log);

async function openRootConfigMaps(
  { kubernetes, secure, settings: { discoverySelectors }, log }: MeshServerOptions,
  { authority }: SecurePort,
): Promise<RootConfigMaps | undefined> {
  if (kubernetes === undefined || secure?.rootConfigMaps !== true) return undefined;
  const { RootConfigMaps: Maps } = await import('./root-config-maps.ts');
  const { server, namespaces, watch } = kubernetes;
  const isOfMesh = (labels: ReadonlyMap<string, string>): boolean => isSelected(discoverySelectors, labels);
  const maps = new Maps({ server: server(), namespaces, isOfMesh, watch, roots: authority.roots(), log });
  authority.onRootsChanged((roots) => maps.use(roots));
  return maps;
}

/** Objects in one log line. */
const MAX_NAMED = 5;
