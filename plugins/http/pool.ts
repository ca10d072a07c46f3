/**
 * Pooled connections to one host.
 * **In**: requests. **Out**: answers of any status. **Fails**: as {@link exchange} does.
 */
import type { Host } from 'sluice/plugin';
import type { HttpAnswer } from './answer.ts';
import type { ServerConfig } from './config.ts';
import { connectorOf } from './connector.ts';
import { type Bounds, exchange } from './exchange.ts';
import type { HttpRequest } from './request.ts';

export interface HttpPool {
  /** Host and port, for messages. */
  readonly shown: string;
  send(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer>;
  /** Whether a new connection can be made now. */
  connects(): Promise<boolean>;
  close(): Promise<void>;
}

/** `host` is told about files of certificates. */
export async function openPool(
  config: ServerConfig & { readonly url: string; readonly connections: number },
  host: Host,
): Promise<HttpPool> {
  const [{ default: Pool }, { default: buildConnector }, { default: symbols }] = await Promise.all([
    import('undici/lib/dispatcher/pool.js'),
    import('undici/lib/core/connect.js'),
    import('undici/lib/core/symbols.js'),
  ]);
  const { origin, protocol, hostname, host: shown, port } = new URL(config.url);
  const connector = await connectorOf(config, host, buildConnector);
  const pool = new Pool(origin, {
    connections: config.connections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: 0, // the signal of each call ends it
    bodyTimeout: 0,
    connect: (options, done) => connector()(options, done),
  });
  return {
    shown,
    send: (request, bounds) => exchange(pool, symbols.kQueuedAbort, request, bounds),
    connects: () =>
      new Promise((resolve) => {
        const address = { hostname: hostname.replace(/^\[(.*)\]$/, '$1'), host: shown, protocol, port };
        connector()(address, (error, socket) => {
          socket?.destroy();
          resolve(error === null);
        });
      }),
    close: () => pool.destroy(),
  };
}
