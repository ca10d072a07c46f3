/**
 * The server of `sluice mesh`: a mesh that is watched on disk, the discovery service for proxies, an admin port.
 * **In**: paths of a mesh, addresses, a log. **Out**: a server that brings each change to all proxies, and drains.
 * **Fails**: with a {@link StartError}; later never: a mesh with errors is logged, and the last good one stays in force.
 */
import { resolve } from 'node:path';
import type { Finding } from '../../yaml/findings.ts';
import { findingsCount } from '../../yaml/findings.ts';
import type { OwnLog } from '../../log/log.ts';
import { ControlPlane } from '../../mesh/control-plane.ts';
import type { MeshSettings } from '../../mesh/model/mesh.ts';
import { readMesh, type ReadMesh } from '../../mesh/sources/read-mesh.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Address } from '../../transport/index.ts';
import { Debounce, shortName, XdsServer } from '../../xds/index.ts';
import { StartError } from '../errors.ts';
import { atAddress, listenGrpc } from '../grpc-listener.ts';
import { oneAtATime } from '../one-at-a-time.ts';
import { RefusedConnections } from '../refused-connections.ts';
import { watchPolicy } from '../watch-files.ts';
import { type MeshAdmin, startMeshAdmin } from './admin.ts';

export interface MeshServerOptions {
  readonly configs: readonly string[];
  readonly settings: MeshSettings;
  /** Port 0: any free port. */
  readonly xds: Address;
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
  readonly admin: Address | undefined;
  readonly plane: ControlPlane;
  reload(): Promise<boolean>;
  drain(): Promise<void>;
}

export interface MeshLoading {
  readonly atMs: number;
  /** Of a newer mesh with errors. */
  readonly refusal: { readonly atMs: number; readonly why: string; readonly findings: readonly Finding[] } | undefined;
}

/** Changes that come closer together than the first, and at the latest the second, are pushed as one. */
const DEBOUNCE = { quietMs: 20, maxMs: 500 };

export async function startMeshServer(options: MeshServerOptions): Promise<MeshServer> {
  const { configs, settings, log, onFindings, graceMs, everyMs } = options;
  const paths = configs.map((path) => resolve(path));
  const first = await readMesh(paths, settings);
  onFindings?.(first.findings);
  // Proxies that come back must not be told of an empty mesh, so nothing listens before the first one is read.
  if (first.mesh === undefined) throw new StartError('CLI_MESH', whyRefused(first));
  const plane = new ControlPlane(first.mesh, first.version);
  let loading: MeshLoading = { atMs: Date.now(), refusal: undefined };
  const server = new XdsServer({
    source: plane,
    onRefused: (proxy, { typeUrl, why, resources }) =>
      log.error('a proxy refuses its new configuration, and keeps the last', {
        proxy: proxy.id,
        type: shortName(typeUrl),
        of: resources.map(({ name, origin }) => origin ?? name).slice(0, MAX_NAMED),
        why,
      }),
    onFault: (proxy, error) =>
      log.error('internal error while making the configuration of a proxy', {
        proxy: proxy.id,
        error: messageOf(error),
      }),
  });
  const push = new Debounce(DEBOUNCE, () => server.changed());

  async function take(): Promise<boolean> {
    const read = await readMesh(paths, settings);
    if (read.version === plane.version && loading.refusal === undefined) return true;
    onFindings?.(read.findings);
    if (read.mesh === undefined) {
      const why = whyRefused(read);
      loading = { ...loading, refusal: { atMs: Date.now(), why, findings: read.findings } };
      log.error('the mesh has errors; the last good one stays in force', { why, version: plane.version });
      return false;
    }
    loading = { atMs: Date.now(), refusal: undefined };
    plane.use(read.mesh, read.version);
    push.changed();
    log.info('mesh loaded', {
      version: read.version,
      services: read.mesh.services.size,
      proxies: server.proxies().length,
    });
    return true;
  }
  const reload = oneAtATime(take);

  await using stack = new AsyncDisposableStack();
  const admin: MeshAdmin | undefined =
    options.admin === undefined
      ? undefined
      : await atAddress(options.admin, (at) =>
          startMeshAdmin({ ...at, plane, proxies: () => server.proxies(), loading: () => loading, log }),
        );
  stack.defer(() => admin?.close());
  const transport = await listenGrpc({
    methods: server.methods,
    address: options.xds,
    tls: undefined,
    reusePort: false,
    refused: new RefusedConnections(log, undefined),
    log,
  });
  stack.defer(() => transport.drain(graceMs));
  const watch = watchPolicy({
    part: 'mesh',
    roots: paths,
    files: () => [],
    log,
    onChange: () =>
      void reload().catch((error: unknown) => log.error('internal error while reading the mesh', { error })),
    ...(everyMs === undefined ? {} : { everyMs }),
  });
  stack.defer(() => watch.close());
  stack.defer(() => push[Symbol.dispose]());
  const open = stack.move();
  let drained: Promise<void> | undefined;
  return {
    xds: { host: transport.host, port: transport.port },
    admin: admin === undefined ? undefined : { host: admin.host, port: admin.port },
    plane,
    reload,
    drain: () => (drained ??= open.disposeAsync()),
  };
}

/** Objects in one log line. */
const MAX_NAMED = 5;

const whyRefused = ({ findings }: ReadMesh): string => `the mesh has ${findingsCount(findings)}`;
