/**
 * `sluice/plugin/serve`: adapters in a process of their own, behind `sluice.plugin.v1`.
 * **In**: adapters, an address. **Out**: a server with health and reflection. **Fails**: where it cannot listen, or an adapter is invalid.
 */
import type { Adapter, Log } from '../../adapters/contract.ts';
import { createRegistry } from '../../adapters/registry.ts';
import { PLUGIN_SERVICE, pluginMethods } from '../../adapters/remote/plugin-service.ts';
import { healthMethods, reflectionMethods } from '../../frontends/index.ts';
import { makeLog } from '../../log/log.ts';
import { parseAddress } from '../../text/parse-address.ts';
import { addressText } from '../../transport/index.ts';
import { listenGrpc } from '../grpc-listener.ts';
import { RefusedConnections } from '../refused-connections.ts';
import { readTls, type TlsFiles, watchTls } from '../tls-files.ts';

export interface ServeOptions {
  /** `unix:/run/x.sock` or `HOST:PORT`; port 0: any free one. */
  readonly listen: string;
  /** Paths of PEM files; renewed ones are used for new connections. With `ca`, hosts must present a certificate of it. */
  readonly tls?: TlsFiles;
  /** Name and version of the program, for operators. */
  readonly software?: string;
  /** Time for running calls when the process is stopped. Default 10 s. */
  readonly graceMs?: number;
  /** Drains on SIGTERM and SIGINT; the process then ends by itself. Default: true. */
  readonly signals?: boolean;
  /** Default: text on stderr. */
  readonly log?: Log;
}

export interface PluginServer {
  /** With the port that was chosen. */
  readonly address: string;
  /** Answers running calls, takes no others, closes the handlers. Idempotent. */
  drain(): Promise<void>;
}

export async function serve(adapters: readonly Adapter[], options: ServeOptions): Promise<PluginServer> {
  createRegistry(adapters); // throws if one of them is invalid
  const { listen, tls: files, software = '', graceMs = 10_000, log = makeLog('text', 'info') } = options;
  const address = parseAddress(listen);
  if (address === undefined) throw new Error(`"${listen}" is not an address; expected unix:PATH or HOST:PORT`);
  let isDraining = false;
  const tls = files === undefined ? undefined : await readTls(files);
  const transport = await listenGrpc({
    methods: new Map([
      ...pluginMethods(adapters, { software }),
      ...healthMethods({ services: [PLUGIN_SERVICE.typeName], isServing: () => !isDraining }),
      ...reflectionMethods([PLUGIN_SERVICE]),
    ]),
    address,
    tls,
    reusePort: false,
    refused: new RefusedConnections(log, '--tls-cert and --tls-key'),
    log,
  });
  const watching =
    files === undefined || tls === undefined
      ? undefined
      : watchTls(files, tls, (renewed) => transport.renewTls(renewed), log);
  let drained: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    isDraining = true;
    watching?.close();
    return (drained ??= transport.drain(graceMs));
  };
  if (options.signals !== false)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void drain());
  return { address: addressText(transport), drain };
}
