/**
 * An HTTP port for callers that do not speak gRPC.
 * **In**: an address, a handler. **Out**: a server that drains. **Fails**: with a StartError if it cannot listen.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { settlesWithin } from '../time/settles-within.ts';
import { acceptWaiting } from '../transport/accept-waiting.ts';
import type { Address, TlsOptions } from '../transport/index.ts';
import { MIN_TLS, renewTls } from '../transport/tls.ts';
import { atAddress } from './grpc-listener.ts';

export interface HttpListenerOptions {
  readonly address: Address;
  /** Absent: cleartext. */
  readonly tls: TlsOptions | undefined;
  /** Other workers listen at the same port. */
  readonly reusePort: boolean;
  readonly limits?: ServerOptions;
  readonly maxConnections?: number;
  /** `ending` is aborted when a draining server can wait no longer. */
  readonly handle: (request: IncomingMessage, response: ServerResponse, ending: AbortSignal) => void;
}

export interface HttpListener extends Address {
  renewTls(tls: TlsOptions): void;
  /** Takes no new connections, and lets requests in flight finish for at most `graceMs`. */
  drain(graceMs: number): Promise<void>;
}

/** Time to receive a whole request. */
const REQUEST_MS = 10_000;
/** A caller by HTTP/1 has one for each call that waits. */
const MAX_CONNECTIONS = 20_000;
/** Connections that wait to be accepted: a proxy opens many at once. */
const BACKLOG = 4096;
/** The share of a drain's grace after which handlers are told to stop waiting. */
const WAITING_SHARE = 0.8;

export async function listenHttp({
  address,
  tls,
  reusePort,
  limits,
  maxConnections = MAX_CONNECTIONS,
  handle,
}: HttpListenerOptions): Promise<HttpListener> {
  const ending = new AbortController();
  const options: ServerOptions = {
    requestTimeout: REQUEST_MS,
    headersTimeout: REQUEST_MS,
    connectionsCheckingInterval: 1000,
    ...limits,
  };
  const take = (request: IncomingMessage, response: ServerResponse): void => handle(request, response, ending.signal);
  const server: Server =
    tls === undefined
      ? createServer(options, take)
      : createTlsServer({ ...options, ...tls, minVersion: MIN_TLS, requestCert: tls.ca !== undefined }, take);
  server.maxConnections = maxConnections;
  server.maxHeadersCount = 0; // Node would leave out the headers beyond its number; their size is limited
  await atAddress(address, async ({ host, port }) => {
    server.listen({ host, port, reusePort, backlog: BACKLOG });
    await once(server, 'listening');
  });
  const { port } = server.address() as AddressInfo;
  return {
    host: address.host,
    port,
    renewTls: (renewed) => renewTls(server, renewed),
    async drain(graceMs) {
      const endsAtMs = performance.now() + graceMs;
      await acceptWaiting(server, graceMs / 4);
      const closed = once(server, 'close');
      server.close(); // and connections that are idle
      const timer = setTimeout(() => ending.abort(), graceMs * WAITING_SHARE);
      await settlesWithin(endsAtMs - performance.now(), closed);
      clearTimeout(timer);
      ending.abort();
      server.closeAllConnections();
    },
  };
}
