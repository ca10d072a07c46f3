/**
 * A client of one HTTP service: pooled connections, and whether the service can be reached.
 * **In**: requests. **Out**: answers of any status. **Fails**: with `Unavailable` if no whole answer came, with `Rejected` for a body
 * above the bound.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, Unavailable } from 'sluice/plugin';
import type { HttpAnswer } from './answer.ts';
import type { ServerConfig } from './config.ts';
import { connectorOf } from './connector.ts';
import { type Bounds, exchange, ExchangeError } from './exchange.ts';
import { Readiness } from './readiness.ts';
import type { HttpRequest } from './request.ts';

export interface HttpClientConfig extends ServerConfig {
  readonly url: string;
  readonly connections: number;
}

export interface HttpClient {
  ask(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer>;
  close(): Promise<void>;
}

const FIRST_PROBE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export async function openClient(config: HttpClientConfig, host: Host): Promise<HttpClient> {
  const [{ default: Pool }, { default: buildConnector }, { default: symbols }] = await Promise.all([
    import('undici/lib/dispatcher/pool.js'),
    import('undici/lib/core/connect.js'),
    import('undici/lib/core/symbols.js'),
  ]);
  const { origin, protocol, hostname, host: shown, port } = new URL(config.url);
  const readiness = new Readiness(host);
  const connector = await connectorOf(config, readiness.hostFor('certificates'), buildConnector);
  const pool = new Pool(origin, {
    connections: config.connections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: 0, // the signal of each call ends it
    bodyTimeout: 0,
    connect: (options, done) => connector()(options, done),
  });
  let isDown = false;

  async function ask(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer> {
    try {
      const answer = await attempt(request, bounds);
      if (isDown) up();
      return answer;
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error;
      const why = `${shown}: ${error.message}`;
      down(why);
      throw new Unavailable(why, 0, { cause: error.cause });
    }
  }

  /** A server may close a connection while a request is on its way; one that only reads is sent again, once. */
  async function attempt(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer> {
    try {
      return await exchange(pool, symbols.kQueuedAbort, request, bounds);
    } catch (error) {
      const mayAskAgain = error instanceof ExchangeError && error.isLost && request.method === 'GET';
      if (!mayAskAgain) throw error;
      return exchange(pool, symbols.kQueuedAbort, request, bounds);
    }
  }

  function up(): void {
    isDown = false;
    readiness.set('connection', undefined);
  }

  function down(why: string): void {
    readiness.set('connection', why);
    if (isDown) return;
    isDown = true;
    host.background(`connecting to ${shown}`, probe);
  }

  /** Without calls nothing else would find that the service is back. */
  async function probe(signal: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_PROBE_MS; isDown; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      await sleep(pauseMs * (0.75 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      if (isDown && (await connects())) up();
    }
  }

  function connects(): Promise<boolean> {
    return new Promise((resolve) => {
      connector()({ hostname: hostname.replace(/^\[(.*)\]$/, '$1'), host: shown, protocol, port }, (error, socket) => {
        socket?.destroy();
        resolve(error === null);
      });
    });
  }

  return { ask, close: () => pool.destroy() };
}
